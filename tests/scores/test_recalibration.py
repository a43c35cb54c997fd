"""Recalibrated quantiles hold what they promise on data that nothing was fitted to."""

import numpy as np
import pytest
from exact_linear import LIKELIHOOD, NOISE, fresh, from_posterior, linear
from scipy import integrate, stats
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

import varbump as vb
from varbump.scores import QuantileRecalibration, simultaneous_band

HALVED = vb.likelihoods.Normal(0.5 * NOISE)
LEVELS = tuple(k / 20 for k in range(1, 20))


@pytest.fixture(scope="module")
def exact():
    return linear()


@pytest.mark.slow
def test_a_halved_sd_is_mended(exact):
    network, *_, weights, _, _ = exact
    x, y = fresh(weights, 2000, seed=2)
    before = vb.evaluate(network, x, y, likelihood=HALVED, num_draws=20)
    assert "too narrow" in before.judgement
    mended = vb.recalibrate(network, x, y, likelihood=HALVED, num_draws=20)
    new_x, new_y = fresh(weights, 2000, seed=3)
    coverage = []
    for level in LEVELS:
        low, high = mended.predict_interval(new_x, level).T
        coverage.append(np.mean((low <= new_y) & (new_y <= high)))
    # fresh data and validation data both scatter: as the difference of two samples of 2,000, like one of 1,000
    low, high = simultaneous_band(LEVELS, 1000)
    assert ((low <= coverage) & (coverage <= high)).all()
    width = np.diff(mended.predict_interval(new_x, 0.9), axis=1).mean()
    assert width == pytest.approx(2 * stats.norm.ppf(0.95) * NOISE, rel=0.1)  # 2,000 rows know that quantile to 3 %


def test_a_calibrated_model_is_left_as_it_is(exact):
    network, *_, mean, covariance = exact
    x, y = from_posterior(mean, covariance, 2000, seed=2)
    mended = vb.recalibrate(network, x, y, likelihood=LIKELIHOOD)
    # Kolmogorov's distance of 2,000 rows is above 0.044 once in 1,000 times; that is of R, whose slope is about 1
    np.testing.assert_allclose(mended.maps[0].level(LEVELS), LEVELS, atol=0.05)
    quantiles = mended.predict_quantiles(x[:7], [0.1, 0.5, 0.9])
    assert quantiles.shape == (7, 3)
    assert (np.diff(quantiles) > 0).all()


def test_the_map_is_the_distribution_of_the_pit():
    pit = np.random.default_rng(0).beta(0.4, 0.7, size=5000)
    made = QuantileRecalibration(pit)
    p = np.linspace(0.02, 0.98, 30)
    np.testing.assert_allclose(made.apply(p), stats.beta(0.4, 0.7).cdf(p), atol=0.03)
    np.testing.assert_allclose(made.apply(made.level(p)), p, atol=1e-9)
    np.testing.assert_allclose(np.sort(made.apply(pit)), np.arange(1, 5001) / 5001, atol=1e-9)
    assert (np.diff(made.level(np.linspace(0, 1, 200))) >= 0).all()
    tied = QuantileRecalibration(np.repeat([0.2, 0.2, 0.9, 1.0], 10))
    assert ((tied.level(p) > 0) & (tied.level(p) < 1)).all()


def test_each_target_has_its_own_map():
    network = vb.build_network(1, hidden_units=(), num_outputs=2, dtype="float64", seed=0)
    network.layers[-1].posterior.assign(np.zeros(4), 1e-20 * np.eye(4))
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(3000, 1)), generator.normal(size=(3000, 2)) * [1.0, 3.0]
    mended = vb.recalibrate(network, x, y, likelihood=vb.likelihoods.Normal(2.0), num_draws=2)
    interval = mended.predict_interval(x[:3], 0.8)
    assert interval.shape == (3, 2, 2)
    # the sd of the 90 % quantile of 3,000 normals is 3 % of the sd
    np.testing.assert_allclose(interval[:, 1], [[1.2816, 3 * 1.2816]] * 3, rtol=0.1)


def test_bad_arguments_are_named(exact):
    network, *_, weights, _, _ = exact
    x, y = fresh(weights, 30)
    with pytest.raises(ValueError, match="y has 19 rows"):
        vb.recalibrate(network, x[:19], y[:19], likelihood=LIKELIHOOD, num_draws=2)
    mended = vb.recalibrate(network, x, y, likelihood=LIKELIHOOD, num_draws=2)
    with pytest.raises(ValueError, match="coverage must lie"):
        mended.predict_interval(x, 95)
    with pytest.raises(ValueError, match="quantiles must be"):
        mended.predict_quantiles(x, [0.5, 1.0])
    with pytest.raises(ValueError, match="quantiles must be numbers between 0 and 1, .* got 'median'"):
        mended.predict_quantiles(x, "median")
    with pytest.raises(ValueError, match="x has 3 columns"):
        mended.predict_quantiles(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="pit has 19 rows"):
        QuantileRecalibration(np.linspace(0, 1, 19))
    with pytest.raises(ValueError, match="pit must lie between"):
        QuantileRecalibration(np.linspace(-1, 1, 30))


@pytest.fixture(scope="module")
def halved(exact):
    """The model with half of the noise, recalibrated, and fresh rows."""
    network, *_, weights, _, _ = exact
    mended = vb.recalibrate(network, *fresh(weights, 400, seed=2), likelihood=HALVED, num_draws=20)
    return mended, fresh(weights, 256, seed=3)


def test_it_is_an_estimator(halved):
    mended, (x, y) = halved
    assert mended.get_params(deep=False) == {"model": mended.model, "likelihood": HALVED, "num_draws": 20, "seed": 0}
    check_is_fitted(mended)
    forgotten = clone(mended)
    assert forgotten.model is mended.model  # trained elsewhere
    with pytest.raises(NotFittedError):
        check_is_fitted(forgotten)
    with pytest.raises(NotFittedError):
        forgotten.predict_dist(x)
    expected = vb.predict_dist(mended.model, x, likelihood=HALVED, num_draws=20).mean()[:, 0]
    np.testing.assert_allclose(mended.predict(x), expected, rtol=1e-12)
    assert mended.predict(x).shape == (256,)
    assert mended.score(x, y) > 0.5
    assert get_tags(mended).target_tags.multi_output
    np.testing.assert_allclose(vb.predict_interval(mended, x, 0.9), mended.predict_interval(x, 0.9), rtol=1e-12)


def test_the_recalibrated_distribution_is_one_distribution(halved):
    mended, (x, y) = halved
    made = mended.predict_dist(x[:4])
    before = vb.predict_dist(mended.model, x[:4], likelihood=HALVED, num_draws=20)
    np.testing.assert_allclose(made.cdf(y[:4]), mended.maps[0].apply(before.cdf(y[:4]))[:, 0], rtol=1e-9)
    np.testing.assert_allclose(made.cdf(made.ppf(0.3)), 0.3, rtol=1e-6)
    grid = np.linspace(-6.0, 6.0, 4001)
    ((_, mixture),) = made.blocks()
    cdf = np.stack([mixture.cdf(np.full((4, 1), t))[:, 0] for t in grid])
    step = 1e-6  # inside one cell of the broken line, but for one y in a thousand
    slope = (made.cdf(y[:4] + step) - made.cdf(y[:4] - step)) / (2 * step)
    np.testing.assert_allclose(np.exp(made.log_pdf(y[:4])), slope, rtol=1e-4)
    mean = grid[-1] - integrate.trapezoid(cdf, grid, axis=0)
    np.testing.assert_allclose(made.mean(), mean, atol=2e-3)  # 113 quantiles of a broken line of 400 corners
    second = grid[-1] ** 2 - integrate.trapezoid(2 * grid[:, None] * cdf, grid, axis=0)
    np.testing.assert_allclose(made.std(), np.sqrt(second - mean**2), rtol=2e-2)
    scores = vb.evaluate(mended, x[:4], y[:4], levels=(0.5,))
    naive = integrate.trapezoid((cdf - (grid[:, None] >= y[:4])) ** 2, grid, axis=0)
    assert scores.crps == pytest.approx(naive.mean(), rel=5e-3)  # the naive one has steps of 0.003
    drawn = made.rvs(2000, random_state=0)
    levels = np.stack([mixture.cdf(drawn[:, j, None])[:, 0] for j in range(2000)])
    # Kolmogorov-Smirnov: false alarm once in 10^6
    assert min(stats.kstest(column, "uniform").pvalue for column in levels.T) > 1e-6


def test_scores_say_that_it_is_mended(halved):
    mended, (x, y) = halved
    before = vb.evaluate(mended.model, x, y, likelihood=HALVED, num_draws=20)
    after = vb.evaluate(mended, x, y)
    assert not before.calibrated
    assert after.calibrated  # false alarm in 0.1 % of seeds, a little more for the validation rows behind the map
    assert after.crps < before.crps
    assert after.log_likelihood > before.log_likelihood
