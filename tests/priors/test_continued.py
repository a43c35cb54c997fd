"""A posterior that is the prior of the next fit: pieces end where the whole does."""

import numpy as np
import pytest
import tensorflow as tf
from registry import POSTERIORS, flatten, name

import varbump as vb
from varbump.core.keras import keras
from varbump.priors.continued import ContinuedNormal

INDEPENDENT = [factory for factory in flatten(POSTERIORS) if "Joint" not in type(factory).__name__]


def perturbed(factory):
    """A network whose q has means and covariances that differ from the start."""
    network = vb.build_network(2, hidden_units=(3,), make_posterior_fn=factory, seed=0)
    rng = np.random.default_rng(0)
    for variable in network.trainable_variables:
        variable.assign(variable + 0.3 * rng.normal(size=variable.shape))
    return network


@pytest.mark.parametrize("factory", INDEPENDENT, ids=name)
def test_the_prior_is_the_posterior(factory, tmp_path):
    before = perturbed(factory)
    after = vb.build_network(2, hidden_units=(3,), make_posterior_fn=factory, prior=vb.priors.from_posterior(before))
    vb.save(after, tmp_path / "after.varbump")
    for network in (after, vb.load(tmp_path / "after.varbump")):
        for old, new in zip(before.layers, network.layers, strict=True):
            q, p = old.posterior(None), new.prior(None)
            np.testing.assert_allclose(p.mean(), q.mean(), rtol=1e-6)
            covariance = q.covariance() if len(q.covariance().shape) == 2 else tf.linalg.diag(q.variance())
            found = p.covariance() if len(p.covariance().shape) == 2 else tf.linalg.diag(p.variance())
            np.testing.assert_allclose(found, covariance, rtol=1e-4, atol=1e-6)  # float32
    after.set_weights(before.get_weights())
    assert vb.parameter_report(after).kl == pytest.approx(0.0, abs=1e-3)  # nats, of sums over 13 weights in float32


@pytest.mark.slow
@pytest.mark.parametrize(
    "family",
    [vb.posteriors.FullCovarianceNormal(), pytest.param(vb.posteriors.MeanFieldNormal(), marks=pytest.mark.slow)],
    ids=name,
)
def test_ten_pieces_of_a_line_are_the_whole(family):
    """For the full covariance; independent normals lose what a piece says of several weights at once."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, 3)) @ [[1.0, 0.5, 0.0], [0.0, 1.0, 0.3], [0.0, 0.0, 1.0]]
    y = x @ [[1.0], [-2.0], [0.5]] + 0.3 + 0.4 * rng.normal(size=(200, 1))
    noise, linear = vb.likelihoods.Normal(0.4), {"hidden_units": (), "make_posterior_fn": family, "dtype": "float64"}
    whole, prior = vb.build_network(3, **linear), None
    vb.fit(whole, noise, x, y, verbose=0)
    for piece in np.array_split(np.arange(200), 10):
        network = vb.build_network(3, prior=prior, **linear)
        assert vb.fit(network, noise, x[piece], y[piece], verbose=0).exact
        prior = vb.priors.from_posterior(network)
    found, expected = (net.layers[-1].posterior(None) for net in (network, whole))
    np.testing.assert_allclose(found.stddev(), expected.stddev(), rtol=1e-6)
    if not network.layers[-1].posterior.independent:
        np.testing.assert_allclose(found.mean(), expected.mean(), rtol=1e-6)
        np.testing.assert_allclose(found.covariance(), expected.covariance(), rtol=1e-6)


@pytest.mark.slow
def test_networks_train_with_it():
    network = vb.build_network(2, hidden_units=(3,), prior=vb.priors.from_posterior(perturbed(vb.posterior)), seed=0)
    history = vb.fit(network, vb.likelihoods.Normal(1.0), np.ones((8, 2)), np.ones(8), epochs=2, verbose=0, seed=0)
    assert np.isfinite(history.history["loss"]).all()


def test_what_cannot_be_continued_is_refused():
    with pytest.raises(ValueError, match="covariances with the layers before it.*use FullCovarianceNormal"):
        vb.priors.from_posterior(perturbed(vb.posteriors.JointNormal()))
    with pytest.raises(ValueError, match="no variational layers"):
        vb.priors.from_posterior(keras.Sequential([keras.layers.Dense(1)]))
    prior = vb.priors.from_posterior(perturbed(vb.posterior))
    with pytest.raises(ValueError, match="of a layer of 9 weights, and this one has 12"):
        vb.build_network(3, hidden_units=(3,), prior=prior)
    with pytest.raises(ValueError, match="fewer layers than the network has"):
        vb.build_network(1, hidden_units=(1, 1), prior=vb.priors.from_posterior(vb.build_network(1, hidden_units=())))
    for locs, scales in (([], []), ([[0.0]], [[[1.0, 2.0]]]), ([[0.0], [0.0]], [[1.0]]), ([[np.nan]], [[1.0]])):
        with pytest.raises(ValueError, match="locs and scales must"):
            ContinuedNormal(locs, scales)
