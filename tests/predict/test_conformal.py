"""Conformal intervals cover as often as they say, whatever the model."""

import math

import numpy as np
import pandas as pd
import pytest
from exact_linear import LIKELIHOOD, fresh, linear
from small_regressor import small_regressor

import varbump as vb

NEW = np.random.default_rng(5).normal(size=(7, 2))


@pytest.fixture(scope="module")
def wrong():
    """A network that takes its noise for a third of what it is, and the weights of the truth."""
    network, _, _, weights, *_ = linear()
    return network, vb.likelihoods.Normal(LIKELIHOOD.scale / 3.0), weights


def test_it_is_the_formula(wrong):
    network, likelihood, weights = wrong
    x, y = fresh(weights, 25)
    ours = vb.predict_interval(network, NEW, 0.9, likelihood=likelihood, calibration=(x, y))
    at = vb.predict_quantiles(network, x, (0.05, 0.5, 0.95), likelihood=likelihood)[..., 0]
    scores = []
    for observed, (low, middle, high) in zip(y, at, strict=True):
        scores.append(max((middle - observed) / (middle - low), (observed - middle) / (high - middle)))
    factor = sorted(scores)[math.ceil(26 * 0.9) - 1]
    low, middle, high = vb.predict_quantiles(network, NEW, (0.05, 0.5, 0.95), likelihood=likelihood)[..., 0].T
    assert factor > 1.5  # the model is overconfident
    expected = np.stack([middle - factor * (middle - low), middle + factor * (high - middle)], axis=1)
    np.testing.assert_allclose(ours[..., 0], expected, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("coverage", [0.5, 0.9])
def test_it_covers_as_often_as_it_says(wrong, coverage):
    """The mean coverage over calibrations of 19 rows is (rank / 20), known exactly; 400 of them, 50 new rows each."""
    network, likelihood, weights = wrong
    covered = []
    for seed in range(40):  # one call for ten calibrations: compiled calls have 256 rows
        x, y = fresh(weights, 190 + 50, seed)
        at = vb.predict_dist(network, x, likelihood=likelihood, num_draws=50)
        low, middle, high = np.moveaxis(at.ppf([0.5 - coverage / 2, 0.5, 0.5 + coverage / 2])[..., 0], 1, 0)
        score = np.where(y < middle, (middle - y) / (middle - low), (y - middle) / (high - middle))
        for part in range(10):
            own = slice(19 * part, 19 * (part + 1))
            bound = np.sort(score[own])[math.ceil(20 * coverage) - 1]
            covered.append(np.mean(score[190:] <= bound))
        made = vb.predict_interval(
            network, x[190:], coverage, likelihood=likelihood, num_draws=50, calibration=(x[:19], y[:19])
        )[..., 0]
        inside = (made[:, 0] <= y[190:]) & (y[190:] <= made[:, 1])
        assert abs(inside.mean() - covered[-10]) < 1.5 / 50  # but for rounding at the end of an interval
    expected, sd = math.ceil(20 * coverage) / 20, math.sqrt(coverage * (1 - coverage) / 21)  # that of a beta
    assert np.mean(covered) == pytest.approx(expected, abs=5.0 * sd / math.sqrt(40))


def test_without_it_the_same_model_covers_far_less(wrong):
    network, likelihood, weights = wrong
    x, y = fresh(weights, 500)
    low, high = vb.predict_interval(network, x, 0.9, likelihood=likelihood)[..., 0].T
    assert np.mean((low <= y) & (y <= high)) < 0.6


def test_counts_stay_whole():
    network = vb.build_network(2, hidden_units=(), likelihood=vb.likelihoods.Poisson(), seed=0)
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(40, 2)), generator.poisson(30.0, size=40)  # the network says about 1
    at = {"likelihood": vb.likelihoods.Poisson()}
    low, high = vb.predict_interval(network, NEW, 0.9, **at, calibration=(x, y))[..., 0].T
    assert (low == np.round(low)).all()
    assert (high == np.round(high)).all()
    ends = vb.predict_interval(network, x, 0.9, **at)[..., 0]
    shift = np.sort(np.maximum(ends[:, 0] - y, y - ends[:, 1]))[math.ceil(41 * 0.9) - 1]
    np.testing.assert_array_equal(high, vb.predict_interval(network, NEW, 0.9, **at)[:, 1, 0] + shift)
    median = vb.predict_quantiles(network, NEW, (0.5,), **at)[:, 0, 0]
    assert (low <= median).all()


@pytest.mark.slow
def test_a_regressor_with_two_targets_and_several_coverages():
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"a": generator.normal(size=80), "b": generator.choice(["u", "v"], size=80)})
    y = np.stack([frame["a"], -3.0 * frame["a"]], axis=1) + generator.normal(size=(80, 2))
    model = small_regressor(max_iter=3).fit(frame[:40], y[:40])
    ours = model.predict_interval(frame[:5], (0.5, 0.9), calibration=(frame[40:], y[40:]))
    assert {level: ends.shape for level, ends in ours.items()} == {0.5: (5, 2, 2), 0.9: (5, 2, 2)}
    alone = model.predict_interval(frame[:5], 0.9, calibration=(frame[40:], y[40:]))
    np.testing.assert_array_equal(ours[0.9], alone)
    np.testing.assert_array_equal(vb.predict_interval(model, frame[:5], 0.9, calibration=(frame[40:], y[40:])), alone)
    single = small_regressor(max_iter=3).fit(frame[:40], y[:40, 0])
    assert single.predict_interval(frame[:5], calibration=(frame[40:], y[40:, 0])).shape == (5, 2)
    with pytest.raises(ValueError, match="kind must be 'total'"):
        model.predict_interval(frame, 0.9, "epistemic", calibration=(frame[40:], y[40:]))


def test_what_it_refuses(wrong):
    network, likelihood, weights = wrong
    x, y = fresh(weights, 40)

    def interval(calibration, coverage=0.95):
        return vb.predict_interval(network, NEW, coverage, likelihood=likelihood, calibration=calibration)

    with pytest.raises(ValueError, match="calibration has 18 rows, too few for a coverage of 0.95.*at least 19"):
        interval((x[:18], y[:18]))
    assert np.isfinite(interval((x[:19], y[:19]))).all()
    with pytest.raises(ValueError, match="at least 999"):
        interval((x, y), 0.999)
    with pytest.raises(TypeError, match="calibration must be a pair"):
        interval(x)
    with pytest.raises(ValueError, match="y must be a number or have shape"):
        interval((x, y[:-1]))
    with pytest.raises(ValueError, match="coverage must lie between"):
        interval((x, y), 1.5)
