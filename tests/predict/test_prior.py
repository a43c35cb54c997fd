"""Draws from the prior, against closed forms."""

import numpy as np
import pytest
from tensorflow_probability import distributions as tfd

import varbump as vb

X = np.array([[0.0], [2.0]])
SD = np.sqrt(X**2 + 1.0)
"""Of f(x) = w x + b with w, b ~ N(0, 1)."""

NUM_DRAWS = 4000

LIKELIHOOD = vb.likelihoods.Normal(scale=2.0)


@pytest.fixture(scope="module")
def network():
    return vb.build_network(1, hidden_units=(), seed=0)


@pytest.fixture(scope="module")
def prior(network):
    return vb.sample_prior(network, num_draws=NUM_DRAWS)


def test_functions_and_observations_have_the_moments_of_the_prior(network, prior):
    f = vb.predict_f(prior, X, num_draws=NUM_DRAWS)
    assert f.kind == "prior"
    # 4,000 draws: 5 standard errors of a mean and of an sd
    np.testing.assert_allclose(f.mean(0) / SD, 0.0, atol=5 / np.sqrt(NUM_DRAWS))
    np.testing.assert_allclose(f.std(0), SD, rtol=5 / np.sqrt(2 * NUM_DRAWS))
    bands = vb.predict_bands(prior, X, likelihood=LIKELIHOOD, num_draws=NUM_DRAWS, seed=0)
    assert bands.kind == "prior predictive"
    np.testing.assert_allclose(bands.sd, np.sqrt(SD**2 + 4.0), rtol=5 / np.sqrt(2 * NUM_DRAWS))
    assert vb.predict_y(prior, LIKELIHOOD, X, num_draws=NUM_DRAWS, seed=0).kind == "prior predictive"
    assert (vb.predict_f(network, X, num_draws=100, seed=0).std(0) < 0.5 * SD).all()  # q, where training starts


def test_draws_are_the_same_for_the_same_seed_and_fewer_are_the_first(network, prior):
    again, other = (vb.sample_prior(network, num_draws=5, seed=seed).weights[0] for seed in (0, 1))
    assert not np.array_equal(again, other)
    np.testing.assert_array_equal(again, vb.sample_prior(network, num_draws=5).weights[0])
    few = vb.predict_f(prior, X, num_draws=3, seed=9)
    w = prior.weights[0][:3]
    np.testing.assert_allclose(few[..., 0], w[:, :1] * X.T + w[:, 1:], rtol=1e-5, atol=1e-6)
    assert str(prior) == "4,000 draws of 2 weights from the prior."
    with pytest.raises(ValueError, match="num_draws=5,000, but there are only 4,000 draws"):
        vb.predict_f(prior, X, num_draws=5000)


@pytest.mark.slow
def test_layers_are_independent_and_of_the_scales_of_their_priors():
    def make_prior(kernel_size, bias_size=0, dtype=None):
        scale = 1.0 if kernel_size == 3 else 3.0
        return lambda inputs: tfd.Normal(np.zeros(kernel_size + bias_size, dtype.name), np.float32(scale))

    network = vb.build_network(1, hidden_units=(3,), seed=0, make_prior_fn=make_prior, num_outputs=2)
    first, second = vb.sample_prior(network, num_draws=NUM_DRAWS).weights
    assert (first.shape, second.shape) == ((NUM_DRAWS, 6), (NUM_DRAWS, 8))
    # 5 standard errors of an sd and of a correlation
    np.testing.assert_allclose(first.std(0), 1.0, rtol=5 / np.sqrt(2 * NUM_DRAWS))
    np.testing.assert_allclose(second.std(0), 3.0, rtol=5 / np.sqrt(2 * NUM_DRAWS))
    correlation = np.corrcoef(np.concatenate([first, second], axis=1).T) - np.eye(14)
    assert np.abs(correlation).max() < 5 / np.sqrt(NUM_DRAWS)


def test_what_has_no_prior_to_draw_from_is_refused():
    class OnlyADensity(tfd.Normal):
        def _sample_n(self, n, seed=None):
            raise NotImplementedError("no sample")

    def make_prior(kernel_size, bias_size=0, dtype=None):
        return lambda inputs: OnlyADensity(np.zeros(kernel_size + bias_size, "float32"), 1.0)

    network = vb.build_network(1, hidden_units=(), seed=0, make_prior_fn=make_prior)
    with pytest.raises(ValueError, match="prior of layer 'output' cannot be drawn from"):
        vb.sample_prior(network)
    with pytest.raises(ValueError, match="num_draws must be"):
        vb.sample_prior(network, num_draws=0)
    with pytest.raises(TypeError, match=r"network must be a \w*keras.Model"):
        vb.sample_prior(None)


@pytest.mark.slow
def test_a_prior_that_follows_q_says_so():
    network = vb.build_network(2, hidden_units=(3,), seed=0, make_prior_fn=vb.priors.ARDNormal())
    with pytest.warns(UserWarning, match="learns its scales, and before training they are those of the initial q"):
        vb.sample_prior(network, num_draws=2)
