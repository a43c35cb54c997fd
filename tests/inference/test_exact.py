"""The closed form of models that are linear in their weights, against the textbook and against optimisers."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
import scipy.stats

import varbump as vb
from varbump.core.keras import keras
from varbump.inference.vi.linear import linear_model
from varbump.inference.vi.loss import NetworkLoss

NUM_DATA, NUM_FEATURES = 60, 3
FULL = [vb.posteriors.FullCovarianceNormal(), vb.posteriors.JointNormal()]


def data(num_targets: int = 1, noise: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(NUM_DATA, NUM_FEATURES)) @ rng.normal(size=(NUM_FEATURES, NUM_FEATURES))
    y = x @ rng.normal(size=(NUM_FEATURES, num_targets)) + 0.5 + noise * rng.normal(size=(NUM_DATA, num_targets))
    return x, y


def linear(num_targets: int = 1, dtype: str = "float64", **options: object) -> object:
    return vb.build_network(NUM_FEATURES, hidden_units=(), num_outputs=num_targets, seed=0, dtype=dtype, **options)


def moments(network: object) -> tuple[np.ndarray, np.ndarray]:
    q = network.layers[-1].posterior(None)
    return q.mean().numpy(), q.covariance().numpy()


def textbook(x: np.ndarray, y: np.ndarray, scale: float, variance: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Bishop (2006), eq. 3.50 and 3.51, with the bias as the last weight."""
    design = np.hstack([x, np.ones((len(x), 1))])
    precision = design.T @ design / scale**2 + np.eye(design.shape[1]) / variance
    covariance = np.linalg.inv(precision)
    return covariance @ design.T @ y[:, 0] / scale**2, covariance


@pytest.mark.parametrize("family", FULL, ids=["full", "joint"])
def test_families_with_full_covariance_are_the_exact_posterior(family):
    x, y = data()
    network = linear(make_posterior_fn=family)
    history = vb.fit(network, vb.likelihoods.Normal(0.3), x, y, verbose=0)
    loc, covariance = moments(network)
    expected = textbook(x, y, 0.3)
    np.testing.assert_allclose(loc, expected[0], rtol=1e-9)  # float64 throughout
    np.testing.assert_allclose(covariance, expected[1], rtol=1e-8, atol=1e-12)
    assert history.exact
    assert "exact" in repr(history)


def test_the_loss_is_minus_the_log_evidence():
    x, y = data()
    network = linear(make_posterior_fn=FULL[0])
    history = vb.fit(network, vb.likelihoods.Normal(0.3), x, y, verbose=0)
    design = np.hstack([x, np.ones((NUM_DATA, 1))])
    evidence = scipy.stats.multivariate_normal(cov=0.09 * np.eye(NUM_DATA) + design @ design.T).logpdf(y[:, 0])
    np.testing.assert_allclose(history.history["loss"][-1], -evidence / NUM_DATA, rtol=1e-8)


def test_independent_normals_have_the_variances_of_bishop_10_12():
    x, y = data()
    network = linear(make_posterior_fn=vb.posteriors.MeanFieldNormal())
    vb.fit(network, vb.likelihoods.Normal(0.3), x, y, verbose=0)
    q = network.layers[-1].posterior(None)
    mean, covariance = textbook(x, y, 0.3)
    np.testing.assert_allclose(q.mean(), mean, rtol=1e-9)
    np.testing.assert_allclose(q.variance(), 1.0 / np.diag(np.linalg.inv(covariance)), rtol=1e-8)


def test_single_precision_with_noise_far_below_the_signal():
    x, y = data(noise=0.003)
    network = linear(dtype="float32")
    vb.fit(network, vb.likelihoods.Normal(0.003), x.astype("float32"), y.astype("float32"), verbose=0)
    loc, covariance = moments(network)
    mean, expected = textbook(x, y, 0.003)
    sd = np.sqrt(np.diag(expected))
    # x, y and q are rounded to 6e-8 of their size, which is up to 1e-3 of these sds
    np.testing.assert_allclose((loc - mean) / sd, 0.0, atol=0.02)
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)) / sd, 1.0, atol=1e-3)


def test_a_learned_noise_scale_maximises_the_evidence():
    x, y = data()
    likelihood, network = vb.likelihoods.LearnedNormal(1.0, dtype="float64"), linear()
    vb.fit(network, likelihood, x, y, verbose=0)
    design = np.hstack([x, np.ones((NUM_DATA, 1))])

    def minus_evidence(log_scale: float) -> float:
        covariance = np.exp(2 * log_scale) * np.eye(NUM_DATA) + design @ design.T
        return -scipy.stats.multivariate_normal(cov=covariance).logpdf(y[:, 0])

    best = scipy.optimize.minimize_scalar(minus_evidence, bounds=(-4, 2), method="bounded", options={"xatol": 1e-9})
    # iteration ends at improvements of 1e-9 nats a row: the scale is then right to about its square root
    np.testing.assert_allclose(likelihood.scale, np.exp(best.x), rtol=1e-4)


def test_each_target_has_its_own_noise():
    x, y = data(num_targets=2)
    y[:, 1] += 2.0 * np.random.default_rng(1).normal(size=NUM_DATA)
    likelihood = vb.likelihoods.LearnedNormal(1.0, num_targets=2, dtype="float64")
    network = linear(num_targets=2)
    vb.fit(network, likelihood, x, y, verbose=0)
    loc, covariance = moments(network)
    for target in range(2):
        expected = textbook(x, y[:, target : target + 1], likelihood.scale[target])
        own = np.append(np.arange(target, 2 * NUM_FEATURES, 2), 2 * NUM_FEATURES + target)
        np.testing.assert_allclose(loc[own], expected[0], rtol=1e-5)  # q is one iteration behind the scales
        np.testing.assert_allclose(covariance[np.ix_(own, own)], expected[1], rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("prior", [vb.priors.TrainableNormal(), vb.priors.ARDNormal()], ids=["trainable", "ard"])
def test_learned_prior_scales_are_at_their_optimum(prior):
    x, y = data()
    network = linear(make_prior_fn=prior)
    history = vb.fit(network, vb.likelihoods.Normal(0.3), x, y, verbose=0)
    assert history.exact
    loc, covariance = moments(network)
    variances = np.asarray(network.layers[-1].prior(None).variance())
    design = np.hstack([x, np.ones((NUM_DATA, 1))])
    precision = design.T @ design / 0.09 + np.diag(1.0 / variances)
    # q belongs to these scales, and these scales to q, up to the last step of the iteration
    np.testing.assert_allclose(loc, np.linalg.solve(precision, design.T @ y[:, 0] / 0.09), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(covariance, np.linalg.inv(precision), rtol=1e-2, atol=1e-6)
    assert np.all(np.diff(history.history["loss"]) < 1e-7)  # every iteration improves the ELBO


def test_weights_of_rows_count_as_repetitions():
    x, y = data()
    counts = np.random.default_rng(2).integers(0, 4, NUM_DATA)
    weighted, repeated = linear(), linear()
    likelihood = vb.likelihoods.Normal(0.3)
    first = vb.fit(weighted, likelihood, x, y, sample_weight=counts, verbose=0)
    second = vb.fit(repeated, likelihood, np.repeat(x, counts, 0), np.repeat(y, counts, 0), verbose=0)
    for one, other in zip(moments(weighted), moments(repeated), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(first.history["loss"], second.history["loss"], rtol=1e-12)


def test_temperature_flattens_the_likelihood():
    x, y = data()
    network = linear()
    vb.fit(network, vb.likelihoods.Normal(0.3), x, y, temperature=4.0, verbose=0)
    expected = textbook(x, y, 0.3 * 2.0)  # a likelihood to the power 1/4 has twice the scale
    np.testing.assert_allclose(moments(network)[0], expected[0], rtol=1e-9)
    np.testing.assert_allclose(moments(network)[1], expected[1], rtol=1e-8, atol=1e-12)


def test_validation_data_are_scored():
    x, y = data()
    network = linear()
    history = vb.fit(network, vb.likelihoods.Normal(0.3), x, y, validation_data=(x, y), verbose=0)
    np.testing.assert_allclose(history.history["val_loss"], history.history["loss"], rtol=1e-12)


def test_members_of_an_ensemble_share_the_optimum():
    x, y = data()
    ensemble = vb.fit_ensemble(linear(), vb.likelihoods.Normal(0.3), x, y, num_members=3, verbose=0)
    mean, _ = textbook(x, y, 0.3)
    for index in range(3):
        np.testing.assert_allclose(moments(ensemble.member(index))[0], mean, rtol=1e-9)


OTHERS = {
    "nonlinear": (dict(activation="relu"), vb.likelihoods.Normal(0.3), {}),
    "other noise": ({}, vb.likelihoods.StudentT(0.3), {}),
    "other prior": (dict(make_prior_fn=vb.priors.Laplace()), vb.likelihoods.Normal(0.3), {}),
    "other family": (dict(make_posterior_fn=vb.posteriors.LowRankNormal()), vb.likelihoods.Normal(0.3), {}),
    "asked for steps": ({}, vb.likelihoods.Normal(0.3), dict(epochs=1)),
    "asked for a rate": ({}, vb.likelihoods.Normal(0.3), dict(learning_rate=0.1)),
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the run ended at its budget")  # a low rank settles slowly
@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=[] if case in ("nonlinear", "other family") else pytest.mark.slow) for case in OTHERS],
)
def test_everything_else_takes_steps(case, monkeypatch):
    monkeypatch.setattr("varbump.inference.vi.options.EPOCHS", 1)
    monkeypatch.setattr("varbump.inference.vi.options.NUM_STEPS", 1)
    x, y = data()
    options, likelihood, chosen = OTHERS[case]
    hidden = (2,) if "activation" in options else ()
    network = vb.build_network(NUM_FEATURES, hidden_units=hidden, seed=0, **options)
    history = vb.fit(network, likelihood, x, y, seed=0, verbose=0, **chosen)
    assert not history.exact
    assert "learning_rate" in history.history


def test_an_activation_after_the_only_layer_is_not_linear():
    x, y = data()
    for activation in ("relu", "tanh", "softplus"):
        layer = vb.layers.DenseVariational(1, vb.posterior, vb.prior, activation=activation)
        network = keras.Sequential([keras.Input((NUM_FEATURES,)), layer])
        loss = NetworkLoss(network, vb.likelihoods.Normal(0.3), (NUM_FEATURES,))
        assert linear_model(loss, NUM_FEATURES + 1, x.astype("float32"), y.astype("float32")) is None


def test_an_interrupted_solution_changes_nothing(monkeypatch):
    x, y = data()
    network = linear(make_prior_fn=vb.priors.ARDNormal())
    before = network.get_weights()

    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("varbump.inference.vi.exact._kl", interrupt)
    with pytest.raises(KeyboardInterrupt):
        vb.fit(network, vb.likelihoods.Normal(0.3), x, y, verbose=0)
    for one, other in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
