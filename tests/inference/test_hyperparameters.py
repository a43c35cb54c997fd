"""Scales of the noise and of the priors that are sampled with the weights: densities, quadrature, predictions."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
from exact_linear import problem
from registry import LIKELIHOODS, first_fast, flatten, name

import varbump as vb
from varbump.inference.mcmc.convergence import ess_of
from varbump.model.hyper_posterior import HyperPosterior

X, Y = problem(num_data=30)
SD = float(Y.std())
half_cauchy = scipy.stats.halfcauchy
SCALED = [item for item in flatten(LIKELIHOODS) if hasattr(item, "log_hyperprior")]


def linear(prior=None):
    return vb.build_network(2, hidden_units=(), make_prior_fn=prior or vb.prior, seed=0)


def sampled(network, likelihood=None, **options):
    likelihood = vb.likelihoods.LearnedNormal(3.0) if likelihood is None else likelihood
    options = {"hyperparameters": "sample", "seed": 0, "verbose": 0} | options
    return vb.sample_posterior(network, likelihood, X, Y, **options)


@pytest.mark.parametrize("at_present", [False, True])
def test_density_is_that_of_weights_and_scales(at_present):
    prior = vb.priors.ARDNormal(scale=0.7, fan_in=True)
    network = vb.build_network(2, hidden_units=(3,), make_prior_fn=prior, dtype="float64", seed=0)
    likelihood = vb.likelihoods.LearnedNormal(0.6, min_scale=0.05, dtype="float64")
    target = HyperPosterior(network, likelihood, X.astype(float), Y.astype(float), at_present=at_present)
    assert target.num_held == 0
    assert target.sizes == (9, 4, 3 + 4 + 1)  # scales of 2 inputs, of 3 units, of the biases, of the noise
    generator = np.random.default_rng(3)
    parts = [generator.normal(size=size) for size in target.sizes]
    drawn = target.drawn(parts)

    s, (w1, w2), (t1, t2) = float(drawn["noise_scales"][0]), drawn["weights"], drawn["prior_scales"]
    hidden = np.maximum(X @ w1[:6].reshape(2, 3) + w1[6:], 0.0)
    f = hidden @ w2[:3] + w2[3]
    expected = scipy.stats.norm(f, s).logpdf(Y[:, 0]).sum()
    references = [np.full(3, 0.7), np.full(4, 0.7)]
    if at_present:
        references = [np.asarray(layer.prior.scales) for layer in target.layers]
    groups = [np.repeat([0, 1, 2], 3), np.arange(4)]
    factors = [np.array([2**-0.5] * 6 + [1.0] * 3), np.array([3**-0.5] * 3 + [1.0])]
    for w, t, r, group, factor in zip((w1, w2), (t1, t2), references, groups, factors, strict=True):
        expected += scipy.stats.norm(0.0, t[group] * factor).logpdf(w).sum()
        expected += half_cauchy(scale=0.7).logpdf(t).sum() + np.log(t).sum()  # of log t
        expected += np.log(t / r)[group].sum()  # of v = w r / t
    raw = np.log(np.expm1(s - 0.05))
    expected += half_cauchy(scale=SD).logpdf(s) + scipy.special.log_expit(raw)  # s = 0.05 + softplus(raw)
    value = target.log_prob([tf.constant(part) for part in parts])
    np.testing.assert_allclose(value, expected, rtol=1e-9)


@pytest.mark.parametrize("likelihood", first_fast(SCALED), ids=name)
def test_a_likelihood_at_the_scales_of_draws_is_that_of_each(likelihood):
    generator = np.random.default_rng(0)
    low, high = np.clip(likelihood.support, 0.1, 3.0)
    y = np.round(generator.uniform(low, high, (7, 1))) if likelihood.discrete else generator.uniform(low, high, (7, 1))
    f = generator.normal(size=(4, 7, 1))
    key, floor = likelihood.learned[0], likelihood.get_config()[likelihood._scale.floor.variable.name[11:-2]]
    scales = floor + generator.uniform(0.2, 1.5, (4, 1))
    together = likelihood.at_scales(scales)
    for draw in range(4):
        alone = type(likelihood).from_config({**likelihood.get_config(), key: float(scales[draw, 0])})
        # float32 raw values have the scales to 1e-6
        for what, argument in (("mean", ()), ("stddev", ())):
            all_of = getattr(together, what)(f, *argument)
            np.testing.assert_allclose(all_of[draw], getattr(alone, what)(f[draw]), rtol=2e-5)
        np.testing.assert_allclose(together.nll(y[None], f)[draw], alone.nll(y, f[draw]), rtol=2e-5, atol=2e-5)
        np.testing.assert_allclose(together.cdf(y, f)[draw], alone.cdf(y, f[draw]), rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(
        together.scales_of(likelihood.raw_scales(scales[0])), scales[0].reshape(-1)[0], rtol=1e-5
    )


@pytest.fixture(scope="module")
def with_scales():
    """Draws of a line in closed form, and noise of its own for each of 2 x 20."""
    draws = vb.sample_posterior(
        linear(), vb.likelihoods.Normal(0.5), X, Y, num_draws=20, num_chains=2, seed=0, verbose=0
    )
    return replace(draws, noise_scales=np.random.default_rng(0).uniform(0.1, 3.0, (2, 20, 1)))


def test_predictions_take_the_noise_of_each_draw(with_scales):
    likelihood = vb.likelihoods.LearnedNormal(7.0)
    chains, times = np.tile([0, 1], 20), np.repeat(np.arange(20), 2)
    w, s = with_scales.weights[0][chains, times], with_scales.noise_scales[chains, times]
    f = X @ w[:, :2, None] + w[:, 2:, None]  # (S, N, 1)
    scores = vb.evaluate(with_scales, X, Y, likelihood=likelihood, num_draws=40)
    density = scipy.stats.norm(f, s[:, None]).pdf(Y).mean(0)
    np.testing.assert_allclose(scores.log_likelihood, np.log(density).mean(), rtol=1e-5)
    y = vb.predict_y(with_scales, likelihood, X, num_draws=40, seed=0)
    z = (y - f) / s[:, None]
    assert scipy.stats.kstest(z.ravel(), "norm").pvalue > 1e-3
    assert scipy.stats.kstest(z[s[:, 0] > 1.5].ravel(), "norm").pvalue > 1e-3
    bands = vb.predict_bands(with_scales, X, likelihood=likelihood, num_draws=40, seed=0)
    np.testing.assert_allclose(bands.sd, y.std(0, ddof=1), rtol=1e-4)
    np.testing.assert_allclose(vb.predict_f(with_scales, X, likelihood=likelihood, num_draws=40), f, atol=1e-5)


def test_draws_with_noise_of_their_own_need_a_likelihood_that_takes_it(with_scales):
    with pytest.raises(TypeError, match=r"noise scales of their own, which Normal cannot take; pass the likelihood"):
        vb.predict_y(with_scales, vb.likelihoods.Normal(0.5), X, num_draws=10)


def test_noise_that_has_not_converged_is_not_trusted(with_scales):
    bad = with_scales.noise_scales.copy()
    bad[1] *= 10  # the chains disagree
    draws = replace(with_scales, noise_scales=bad, method="annealed HMC")
    assert draws.noise_rhat > 1.5
    assert not draws.trusted_in_range
    assert "or for the scale of the noise" in draws.judgement
    assert "scale of the noise" in str(draws)


@pytest.mark.parametrize("sampler", [vb.sample_posterior, vb.sample_nuts])
def test_errors(sampler):
    network = linear()
    with pytest.raises(ValueError, match="hyperparameters must be 'hold' or 'sample', got 'fix'"):
        sampler(network, vb.likelihoods.LearnedNormal(), X, Y, hyperparameters="fix")
    with pytest.raises(ValueError, match=r"but there are none: neither does a prior learn its scales"):
        sampler(network, vb.likelihoods.Normal(), X, Y, hyperparameters="sample")


def marginal(log_s, log_t=0.0):
    """Log density of log s and log t given the data, up to a constant; the weights are integrated out."""
    phi = np.hstack([X, np.ones((len(X), 1))]).astype(float)
    covariance = np.exp(2 * log_s) * np.eye(len(X)) + np.exp(2 * log_t) * phi @ phi.T
    value = scipy.stats.multivariate_normal(cov=covariance).logpdf(Y[:, 0].astype(float))
    return value + half_cauchy(scale=SD).logpdf(np.exp(log_s)) + log_s + half_cauchy().logpdf(np.exp(log_t)) + log_t


def assert_moments(draws, grid, density):
    """Moments of draws (C, S) against those of a density on a grid: 4 standard errors, 1 false alarm in 8,000."""
    density = density / density.sum()
    mean = (density * grid).sum()
    sd = np.sqrt((density * (grid - mean) ** 2).sum())
    draws = np.moveaxis(np.asarray(draws, float), 0, 1)
    deviation = (draws - mean) / sd
    assert ess_of(draws) > 300
    np.testing.assert_array_less(np.abs(deviation.mean()), 4 / np.sqrt(ess_of(draws)))
    kurtosis = ((grid - mean) ** 4 * density).sum() / sd**4
    np.testing.assert_array_less(np.abs((deviation**2).mean() - 1), 4 * np.sqrt((kurtosis - 1) / ess_of(deviation**2)))


@pytest.mark.slow
def test_noise_of_a_line_has_the_distribution_of_quadrature():
    draws = sampled(linear())
    assert draws.trusted_in_range
    grid = np.linspace(np.log(0.1), np.log(3.0), 1001)
    assert_moments(np.log(draws.noise_scales[..., 0]), grid, np.exp([marginal(s) - marginal(-0.7) for s in grid]))


@pytest.mark.slow
@pytest.mark.parametrize("nuts", [False, True])
def test_noise_and_prior_of_a_line_have_the_distribution_of_quadrature(nuts):
    network, likelihood = linear(vb.priors.TrainableNormal()), vb.likelihoods.LearnedNormal(3.0)
    if nuts:
        vb.fit(network, likelihood, X, Y, seed=0, verbose=0)
        draws = vb.sample_nuts(network, likelihood, X, Y, hyperparameters="sample", seed=0, verbose=0)
        assert draws.converged
    else:
        draws = sampled(network, likelihood)
    assert draws.num_held == 0
    log_s, log_t = np.linspace(np.log(0.2), np.log(1.5), 81), np.linspace(np.log(0.02), np.log(60), 161)
    density = np.array([[marginal(s, t) for t in log_t] for s in log_s])
    density = np.exp(density - density.max())
    assert_moments(np.log(draws.noise_scales[..., 0]), log_s, density.sum(1))
    assert_moments(np.log(draws.prior_scales[0][..., 0]), log_t, density.sum(0))


@pytest.mark.slow
def test_what_is_not_sampled_is_learned_first_and_held():
    network = vb.build_network(2, hidden_units=(3,), make_prior_fn=vb.priors.ARDNormal(), seed=0)
    likelihood = vb.likelihoods.StudentT(3.0, learn_df=True)
    draws = sampled(network, likelihood, num_draws=20, num_warmup=10, num_chains=2)
    assert draws.num_held == 1  # the degrees of freedom
    assert likelihood.df != 4.0  # learned, since the network had not been trained
    assert [scales.shape for scales in draws.prior_scales] == [(2, 20, 3), (2, 20, 4)]


@pytest.mark.slow
def test_scales_of_a_prior_that_are_held_are_learned_first():
    network = vb.build_network(2, hidden_units=(), make_prior_fn=vb.priors.TrainableNormal(), seed=0)
    draws = vb.sample_posterior(
        network, vb.likelihoods.Normal(0.5), X, Y, num_draws=20, num_chains=2, seed=0, verbose=0
    )
    assert draws.num_held == 1
    best = max(np.linspace(-2, 2, 401), key=lambda t: marginal(np.log(0.5), t) - half_cauchy().logpdf(np.exp(t)) - t)
    np.testing.assert_allclose(np.log(np.asarray(network.layers[-1].prior.scales)), best, atol=0.05)
