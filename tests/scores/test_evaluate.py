"""Scores against closed forms, on a model that is exact by construction."""

import importlib.util

import numpy as np
import pytest
from exact_linear import LIKELIHOOD, NOISE, fresh, from_posterior, linear
from scipy import stats

import varbump as vb
from varbump.predict.predictive import BLOCK
from varbump.scores import simultaneous_band
from varbump.scores.band import binomial_interval

NUM_FRESH = 2 * BLOCK + 88  # more than two blocks, the last one not full


@pytest.fixture(scope="module")
def exact():
    return linear()


@pytest.fixture(scope="module")
def held_out(exact):
    return fresh(exact[3], NUM_FRESH)


@pytest.fixture(scope="module")
def certain():
    """A network whose every draw is the same function, so that the predictive is one normal."""
    network, *_ = linear()
    weights, _ = network.layers[-1].posterior.mean.numpy(), None
    network.layers[-1].posterior.assign(weights, 1e-24 * np.eye(3))
    return network, weights


def test_scores_of_a_normal_predictive_are_its_closed_forms(certain, held_out):
    (network, w), (x, y) = certain, held_out
    scores = vb.evaluate(network, x, y, likelihood=LIKELIHOOD, num_draws=3)
    predictive = stats.norm(x @ w[:2] + w[2], NOISE)
    z = (y - predictive.mean()) / NOISE
    crps = NOISE * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi))
    # the bar is 1e-6; weights of sd 1e-12 and the trapezoidal rule leave 1e-10
    assert scores.crps == pytest.approx(crps.mean(), rel=1e-9)
    assert scores.log_likelihood == pytest.approx(predictive.logpdf(y).mean(), rel=1e-9)
    assert scores.rmse == pytest.approx(NOISE * np.sqrt(np.mean(z**2)), rel=1e-9)
    assert scores.epistemic_share == pytest.approx(0.0, abs=1e-9)
    np.testing.assert_allclose(scores.pit[:, 0], predictive.cdf(y), rtol=1e-8)
    assert scores.num_data == len(y)
    assert scores.levels == tuple(k / 20 for k in range(1, 20))
    for level in scores.levels:
        low, high = predictive.interval(level)
        score = high - low + 2 / (1 - level) * (np.maximum(low - y, 0) + np.maximum(y - high, 0))
        assert scores.sharpness[level] == pytest.approx(np.mean(high - low), rel=1e-9)
        assert scores.interval_score[level] == pytest.approx(score.mean(), rel=1e-9)
        inside = np.sum((y >= low) & (y <= high))
        assert scores.coverage[level] == inside / len(y)
        expected = stats.binomtest(int(inside), len(y)).proportion_ci(0.95, "exact")
        np.testing.assert_allclose(scores.coverage_interval[level], expected, rtol=1e-9)


@pytest.mark.slow
def test_an_exact_model_is_calibrated(exact):
    network, *_, mean, covariance = exact
    x, y = from_posterior(mean, covariance, 2000)
    scores = vb.evaluate(network, x, y, likelihood=LIKELIHOOD, num_draws=400)
    # false-alarm rate 0.1 %; the mean of 400 draws is off by 5 % of the epistemic sd, 1 % of the total
    low, high = np.array(list(scores.band.values())).T
    coverage = np.array(list(scores.coverage.values()))
    assert ((low <= coverage) & (coverage <= high)).all()
    assert scores.calibrated
    assert "by chance" in scores.judgement
    phi = np.hstack([x, np.ones((len(x), 1))])
    epistemic = np.sum(phi @ covariance * phi, axis=1).mean()
    # 400 draws know a variance to 7 %
    assert scores.epistemic_share == pytest.approx(epistemic / (epistemic + NOISE**2), rel=0.3)


def test_halved_sds_are_flagged():
    network, *_, mean, covariance = linear(shrink=0.5)
    x, y = from_posterior(mean, covariance, 1000)
    scores = vb.evaluate(network, x, y, likelihood=vb.likelihoods.Normal(0.5 * NOISE), num_draws=20)
    assert not scores.calibrated
    assert "Intervals are too narrow at" in scores.judgement


def test_a_doubled_noise_scale_is_flagged(exact, held_out):
    scores = vb.evaluate(exact[0], *held_out, likelihood=vb.likelihoods.Normal(2.0 * NOISE), num_draws=20)
    assert not scores.calibrated
    assert "Intervals are too wide at" in scores.judgement
    assert "Intervals are too wide at" in " ".join(str(scores).split())


def test_heavy_tails_are_told_from_a_wrong_scale(exact):
    x, _ = fresh(exact[3], 4000)
    y = x @ exact[3][:2] + exact[3][2] + 0.7 * NOISE * stats.t(2.5).rvs(len(x), random_state=0)
    scores = vb.evaluate(exact[0], x, y, likelihood=LIKELIHOOD, levels=(0.99, 0.5), num_draws=20)
    assert scores.levels == (0.5, 0.99)
    assert scores.coverage[0.5] > 0.5
    assert scores.coverage[0.99] < 0.99
    assert "another shape" in scores.judgement


def test_units_and_targets():
    network = vb.build_network(2, hidden_units=(), num_outputs=2, dtype="float64", seed=0)
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(40, 2)), generator.normal(size=(40, 2))
    both = vb.evaluate(network, x, y, likelihood=LIKELIHOOD, levels=(0.5, 0.9), num_draws=10)
    assert both.pit.shape == (40, 2)
    assert len(both.targets) == 2
    assert both.rmse == pytest.approx(np.mean([target.rmse for target in both.targets]))
    assert both.coverage[0.9] == pytest.approx(np.mean([target.coverage[0.9] for target in both.targets]))
    draws = vb.predict_f(network, x, num_draws=10, seed=0)
    density = stats.norm(draws, NOISE).pdf(y)
    assert both.log_likelihood == pytest.approx(np.log(density.prod(-1).mean(0)).mean(), rel=1e-9)
    np.testing.assert_allclose(
        [target.log_likelihood for target in both.targets], np.log(density.mean(0)).mean(0), rtol=1e-9
    )
    np.testing.assert_allclose([t.rmse for t in both.targets], np.sqrt(np.mean((draws.mean(0) - y) ** 2, 0)))
    assert "target 1" in str(both)


@pytest.mark.slow
def test_a_member_of_an_ensemble_has_its_own_noise():
    network = vb.build_network(1, hidden_units=(), seed=0)
    x = np.linspace(-1, 1, 20, dtype="float32")[:, None]
    likelihood = vb.likelihoods.LearnedNormal(0.5)
    ensemble = vb.fit_ensemble(network, likelihood, x, x, num_members=2, epochs=1, seed=0, verbose=0)
    raw = np.array([-2.0, 2.0], "float32")  # of the likelihood, the last variable
    ensemble = type(ensemble)(network, likelihood, ensemble.history, [*ensemble.values[:-1], raw])
    scales = 1e-3 + np.log1p(np.exp([-2.0, 2.0]))
    scores = vb.evaluate(ensemble, x, x, num_draws=5, levels=(0.5,))
    assert scores.num_draws == 6  # as many of each member
    f = vb.predict_f(ensemble, x, num_draws=6, seed=0)
    density = stats.norm(f, np.tile(scales, 3)[:, None, None]).pdf(x).mean(0)
    assert scores.log_likelihood == pytest.approx(np.log(density).mean(), rel=1e-5)  # float32 weights


@pytest.mark.slow
def test_an_estimator_is_scored_in_the_units_of_its_y():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(60, 2)) * [1.0, 100.0]
    y = 1e4 + 500.0 * X[:, 0] + 50.0 * generator.normal(size=60)
    model = vb.VariationalRegressor(
        (), likelihood="normal", embedding=None, n_members=1, max_iter=5, n_draws=20, random_state=0
    )
    model.fit(X, y)
    scores = vb.evaluate(model, X, y, levels=(0.5, 0.9))
    assert scores.rmse == pytest.approx(np.sqrt(np.mean((model.predict(X) - y) ** 2)))
    assert scores.log_likelihood == pytest.approx(model.log_predictive_density(X, y).mean())
    low, high = model.predict_interval(X, coverage=0.9).T
    assert scores.sharpness[0.9] == pytest.approx(np.mean(high - low))
    assert scores.coverage[0.9] == np.mean((low <= y) & (y <= high))
    with pytest.raises(TypeError, match="likelihood must be left out"):
        vb.evaluate(model, X, y, likelihood=LIKELIHOOD)
    with pytest.raises(ValueError, match="y must have 1 columns"):
        vb.evaluate(model, X, np.stack([y, y], 1))
    with pytest.raises(ValueError, match="60 rows but y has 59"):
        vb.evaluate(model, X, y[:-1])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"likelihood": None}, TypeError, "likelihood is missing"),
        ({"levels": (0.5, 95)}, ValueError, "levels must be numbers between 0 and 1"),
        ({"levels": "all"}, ValueError, "levels must be .* got 'all'"),
        ({"levels": ()}, ValueError, "levels must be"),
        ({"num_draws": 1}, ValueError, "num_draws must be"),
        ({"y": np.zeros(3)}, ValueError, "rows"),
        ({"y": np.full(NUM_FRESH, np.nan)}, ValueError, "y must be finite"),
        ({"x": np.zeros((NUM_FRESH, 3))}, ValueError, "x has 3 columns"),
        ({"model": "network"}, TypeError, "model must be a network"),
    ],
    ids=str,
)
def test_bad_arguments_are_named(exact, held_out, change, error, message):
    arguments = {"model": exact[0], "x": held_out[0], "y": held_out[1], "likelihood": LIKELIHOOD, **change}
    with pytest.raises(error, match=message):
        vb.evaluate(arguments.pop("model"), arguments.pop("x"), arguments.pop("y"), **arguments)


@pytest.mark.parametrize("broken", [np.nan, 1e200])
def test_a_model_that_gives_no_numbers_is_refused(broken):
    network = vb.build_network(1, hidden_units=(), dtype="float64", seed=0)
    network.layers[0].posterior.assign(np.array([broken, 0.0]), np.eye(2))
    x = np.linspace(0.0, 1.0, 30)
    to_arviz = [vb.to_arviz] if importlib.util.find_spec("arviz_base") else []  # not on Python 3.10
    for score in (vb.evaluate, vb.recalibrate, *to_arviz):
        with pytest.raises(ValueError, match=f"numbers beyond 1e.150, in row {0 if np.isnan(broken) else 1} of x"):
            score(network, x, np.zeros(30), likelihood=LIKELIHOOD, num_draws=2)


@pytest.mark.parametrize("num", [10, 300])
def test_the_band_holds_all_levels_at_once(num):
    levels = tuple(k / 20 for k in range(1, 20))
    low, high = simultaneous_band(levels, num, 0.9)
    pit = np.random.default_rng(5).uniform(size=(20_000, num))
    coverage = np.stack([np.mean(pit <= level, axis=1) for level in levels], axis=1)
    held = np.mean(((coverage >= low - 1e-12) & (coverage <= high + 1e-12)).all(axis=1))
    # at least 90 %, more where counts are few and so steps are large; 20,000 repeats know it to 0.2 %
    assert 0.89 < held < (0.99 if num == 10 else 0.915)
    wider = simultaneous_band(levels, num, 0.999)
    assert (wider[0] <= low).all()
    assert (wider[1] >= high).all()


def test_binomial_interval_at_its_ends():
    assert binomial_interval(0.0, 20)[0] == 0.0
    assert binomial_interval(1.0, 20)[1] == 1.0
    np.testing.assert_allclose(binomial_interval(0.3, 20), stats.binomtest(6, 20).proportion_ci(0.95, "exact"))
