"""Recalibrated quantiles hold what they promise on data that nothing was fitted to."""

import numpy as np
import pytest
from exact_linear import LIKELIHOOD, NOISE, fresh, from_posterior, linear
from scipy import stats

import varbump as vb
from varbump.scores import QuantileRecalibration, simultaneous_band

HALVED = vb.likelihoods.Normal(0.5 * NOISE)
LEVELS = tuple(k / 20 for k in range(1, 20))


@pytest.fixture(scope="module")
def exact():
    return linear()


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
