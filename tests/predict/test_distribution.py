"""Predictive distributions against naive mixtures of SciPy's distributions."""

import numpy as np
import pytest
from exact_linear import LIKELIHOOD, NOISE, linear
from scipy import stats

import varbump as vb
from varbump.predict import predictive as module
from varbump.predict.distribution import PredictiveDistribution
from varbump.predict.predictive import BLOCK, predictive_of


@pytest.fixture(scope="module")
def rows():
    """Distribution of two rows beyond a whole block, and the parts of the mixture (S, N) behind it."""
    network, *_ = linear()
    x = np.random.default_rng(0).normal(size=(BLOCK + 2, 2))
    made = vb.predict_dist(network, x, likelihood=LIKELIHOOD, num_draws=20, seed=3)
    f = vb.predict_f(network, x, num_draws=20, seed=3)[..., 0]
    return made, stats.norm(f, NOISE)


def test_it_is_the_mixture_of_the_draws(rows):
    made, parts = rows
    y = np.random.default_rng(1).normal(size=made.num_rows)
    # all are sums over the same 20 components: only rounding of float64 differs
    np.testing.assert_allclose(made.cdf(y)[:, 0], parts.cdf(y).mean(0), rtol=1e-9)
    np.testing.assert_allclose(made.log_pdf(y), np.log(parts.pdf(y).mean(0)), rtol=1e-9)
    np.testing.assert_allclose(made.mean()[:, 0], parts.mean().mean(0), rtol=1e-9)
    variance = parts.var().mean(0) + parts.mean().var(0)
    np.testing.assert_allclose(made.std()[:, 0], np.sqrt(variance), rtol=1e-9)
    np.testing.assert_allclose(made.cdf(0.3), made.cdf(np.full((made.num_rows, 1), 0.3)))


def test_quantiles_invert_the_distribution_function(rows):
    made, parts = rows
    quantiles = made.ppf([0.025, 0.5, 0.975])
    assert quantiles.shape == (made.num_rows, 3, 1)
    for index, level in enumerate((0.025, 0.5, 0.975)):  # Newton stops at 1e-12 sd
        np.testing.assert_allclose(parts.cdf(quantiles[:, index, 0]).mean(0), level, rtol=1e-9)
    np.testing.assert_array_equal(made.ppf(0.5), quantiles[:, 1])
    np.testing.assert_allclose(made.interval(0.95), quantiles[:, [0, 2]], rtol=1e-12)


def test_draws_are_of_the_mixture_and_independent(rows):
    made, parts = rows
    drawn = made.rvs(400, random_state=1)
    assert drawn.shape == (made.num_rows, 1, 400)
    np.testing.assert_array_equal(drawn, made.rvs(400, random_state=1))
    u = np.stack([parts.cdf(drawn[:, 0, j]).mean(0) for j in range(400)])
    # Kolmogorov-Smirnov over 258 rows by 400 draws: false alarm once in 10^6
    assert stats.kstest(u.ravel(), "uniform").pvalue > 1e-6
    # correlation between two rows has sd 1 / 20: six of them
    assert abs(np.corrcoef(u[:, 0], u[:, 1])[0, 1]) < 0.3
    assert abs(np.corrcoef(u[0], u[1])[0, 1]) < 6 / np.sqrt(made.num_rows)


def test_the_density_is_the_slope(rows):
    made, _ = rows
    step = 1e-4  # error of the difference: its square
    slope = (made.cdf(0.3 + step) - made.cdf(0.3 - step))[:, 0] / (2 * step)
    np.testing.assert_allclose(np.exp(made.log_pdf(0.3)), slope, rtol=1e-6, atol=1e-9)


def test_targets_are_joint_in_the_density_and_in_draws():
    network = vb.build_network(2, hidden_units=(), num_outputs=2, dtype="float64", seed=0)
    network.layers[-1].posterior.assign(np.zeros(6), np.diag([0, 0, 0, 0, 1.0, 1.0]) + 1e-12 * np.eye(6))
    x, y = np.zeros((3, 2)), np.full((3, 2), 0.7)
    made = vb.predict_dist(network, x, likelihood=LIKELIHOOD, num_draws=10, seed=0)
    f = vb.predict_f(network, x, num_draws=10, seed=0)
    np.testing.assert_allclose(made.log_pdf(y), np.log(stats.norm(f, NOISE).pdf(y).prod(-1).mean(0)), rtol=1e-9)
    assert made.cdf(y).shape == (3, 2)
    assert made.ppf([0.1, 0.5]).shape == (3, 2, 2)
    drawn = made.rvs(3000, random_state=0)
    assert drawn.shape == (3, 2, 3000)
    # with 10 components the means of the two targets are correlated by chance, and draws have to show it
    both = np.corrcoef(drawn[0])[0, 1]
    expected = np.cov(f[:, 0].T, bias=True)[0, 1] / np.prod(np.sqrt(f[:, 0].var(0) + NOISE**2))
    assert both == pytest.approx(expected, abs=6 / np.sqrt(3000))


def test_bad_arguments_are_named(rows):
    made, _ = rows
    with pytest.raises(ValueError, match=r"y must be a number or have shape \(258, 1\), got \(3,\)"):
        made.cdf(np.zeros(3))
    with pytest.raises(ValueError, match="y must be finite"):
        made.log_pdf(np.nan)
    with pytest.raises(ValueError, match="quantiles must be numbers between 0 and 1"):
        made.ppf(95)
    with pytest.raises(ValueError, match="coverage must lie between 0 and 1"):
        made.interval(95)
    with pytest.raises(ValueError, match="size must be an integer"):
        made.rvs(0)
    assert isinstance(made, PredictiveDistribution)


@pytest.mark.slow
def test_many_rows_in_large_calls_are_the_same_rows(monkeypatch):
    """But for rounding; the last call has rows of its own and padding."""
    likelihood = vb.likelihoods.HeteroscedasticNormal()
    network = vb.build_network(1, hidden_units=(3,), likelihood=likelihood, seed=0)
    x, y = np.linspace(-2.0, 2.0, 1100)[:, None].astype("float32"), np.zeros((1100, 1))
    predictive = predictive_of(network, likelihood, 6, 0)
    answers = [predictive.moments(x), predictive.quantiles(x, [0.1, 0.5]), predictive.pit(x, y)]
    monkeypatch.setattr(module, "LARGE", 512)
    monkeypatch.setattr(module, "MANY", 1000)
    assert [rows for rows, _ in predictive.blocks(x)] == [slice(start, start + 256) for start in range(0, 1100, 256)]
    again = [predictive.moments(x), predictive.quantiles(x, [0.1, 0.5]), predictive.pit(x, y)]
    for first, second in zip(answers, again, strict=True):
        np.testing.assert_allclose(second, first, rtol=1e-4, atol=1e-6)  # float32
