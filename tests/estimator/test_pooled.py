"""A regressor that chooses: its pool answers as the mixture of its candidates, and a fit depends on the rows only."""

import copy
import pickle
import signal
import threading

import numpy as np
import pytest
from scipy.special import logsumexp

import varbump as vb
from varbump.debug.failure import NonFiniteLossError
from varbump.estimator import choice, training
from varbump.predict.predictive import Predictive

pytestmark = pytest.mark.slow  # each candidate compiles for seconds

OPTIONS = {"n_members": 2, "max_iter": 60, "n_draws": 80, "random_state": 0}

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(120, 2)) * [1.0, 10.0]
Y = 50.0 + 10.0 * np.sign(X[:, 0]) + 0.3 * X[:, 1] + GENERATOR.normal(size=120) * np.exp(0.05 * X[:, 1])
NEW = GENERATOR.normal(size=(9, 2)) * [1.0, 10.0]
AT = 50.0 + 5.0 * GENERATOR.normal(size=9)


@pytest.fixture(scope="module")
def model():
    return vb.VariationalRegressor(**OPTIONS).fit(X, Y)


def parts(model, rows):
    """Predictive distribution of each candidate by itself, but for the noise of the pool, and its weight."""
    inputs, pool = model._inputs(rows), model._pool
    found = []
    for trained, weight, mask in zip(pool.trained, pool.weights, pool.inputs, strict=True):
        ((_, mixture),) = Predictive(trained.ensemble, trained.likelihoods, 4_000, 1).blocks(inputs * mask)
        found.append((weight, mixture.first(len(rows)).with_noise(pool.noise_factor, pool.noise_tail)))
    return found


def test_the_report_has_all_candidates(model):
    assert len(model.stacking_.names) == 3
    assert model.stacking_.weights.sum() == pytest.approx(1.0)
    assert sorted(model._pool.weights) == sorted(weight for weight in model.stacking_.weights if weight)
    assert len(model.stacking_.pooled) == 24
    assert model._pool.noise_factor == model.stacking_.noise_factor != 1.0
    assert "forest" in str(model.stacking_)
    assert model.network_ is model._pool.trained[0].ensemble.network
    assert model.likelihood_ is model._pool.trained[0].likelihoods[0]


def test_moments_and_density_are_those_of_the_mixture(model):
    """80 draws against 4,000: their mean is off by less than five of its standard errors, of about sd / 9."""
    means, variances, densities = [], [], []
    for weight, mixture in parts(model, NEW):
        mean, total, _ = mixture.moments()
        means.append(weight * mean[:, 0])
        variances.append(weight * (total[:, 0] ** 2 + mean[:, 0] ** 2))
        z = (AT - model.y_scaler_.mean_) / model.y_scaler_.scale_
        densities.append(np.log(weight) + mixture.log_density(z[:, None]))
    mean = sum(means)
    sd = np.sqrt(sum(variances) - mean**2)
    found, std = model.predict(NEW, return_std=True)
    scale = model.y_scaler_.scale_[0]
    assert np.abs(found - model.y_scaler_.mean_[0] - scale * mean).max() < 0.5 * (scale * sd).min()
    np.testing.assert_allclose(std, scale * sd, rtol=0.3)
    density = logsumexp(densities, axis=0) - np.log(scale)
    np.testing.assert_allclose(model.log_predictive_density(NEW, AT), density, atol=0.5)


def test_answers_agree_with_each_other(model):
    distribution = model.predict_dist(NEW)
    levels = (0.05, 0.5, 0.9)
    quantiles = model.predict_quantiles(NEW, levels)
    for level, values in zip(levels, quantiles.T, strict=True):
        np.testing.assert_allclose(distribution.cdf(values), level, atol=1e-6)
    np.testing.assert_allclose(distribution.log_pdf(AT), model.log_predictive_density(NEW, AT))
    assert vb.evaluate(model, X, Y).log_likelihood == pytest.approx(model.log_predictive_density(X, Y).mean())
    lower, upper = model.predict_interval(NEW, 0.95, kind="epistemic").T
    total = model.predict_interval(NEW, 0.95).T
    assert (upper - lower < total[1] - total[0]).all()


def test_draws_have_the_moments_of_the_predictions(model):
    """Means of 4,000 draws against those of 80: within a fifth of the sd, ten standard errors of the latter's noise."""
    mean, std = model.predict(NEW, return_std=True)
    y = model.sample_y(NEW, 4_000)
    assert (np.abs(y.mean(axis=1) - mean) < 0.5 * std).all()
    np.testing.assert_allclose(y.std(axis=1), std, rtol=0.3)
    f = vb.predict_f(model, NEW, num_draws=1_000, seed=3)
    assert f.shape == (1_000, 9, 1)
    assert (np.abs(f.mean(axis=0)[:, 0] - mean) < 0.5 * std).all()
    observed = vb.predict_y(model, NEW, num_draws=1_000, seed=3)
    assert (observed.std(axis=0)[:, 0] > f.std(axis=0)[:, 0]).all()
    assert vb.predict_bands(model, NEW, num_draws=100, seed=3).mean.shape == (9, 1)
    assert model.sample_y(NEW).shape == (9, 1)


def test_a_row_does_not_depend_on_the_others(model):
    np.testing.assert_array_equal(model.predict(X)[[3, 70]], model.predict(X[[3, 70]]))


def test_the_noise_is_that_of_all_candidates(model):
    _, total, epistemic = model._predictive().moments(model._inputs(X))
    # the training rows have other columns of the forest, by the trees that have not seen them
    np.testing.assert_allclose(model.noise_std_, np.sqrt(np.mean(total**2 - epistemic**2)) * Y.std(), rtol=0.2)


def test_copies_answer_the_same(model, tmp_path):
    vb.save(model, tmp_path / "model.varbump")
    loaded = vb.load(tmp_path / "model.varbump")
    expected = model.predict_quantiles(NEW)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), loaded):
        np.testing.assert_array_equal(other.predict_quantiles(NEW), expected)
        np.testing.assert_array_equal(other.sample_y(NEW, 3), model.sample_y(NEW, 3))
        assert str(other.stacking_) == str(model.stacking_)
        assert str(other.parameter_report_) == str(model.parameter_report_)
        assert other.noise_std_ == model.noise_std_
    assert set(vars(loaded)) == set(vars(model))


def test_a_fit_depends_on_the_weighted_set_of_rows_only(model):
    order = np.random.default_rng(1).permutation(120)
    shuffled = vb.VariationalRegressor(**OPTIONS).fit(X[order], Y[order])
    np.testing.assert_array_equal(shuffled.predict(NEW), model.predict(NEW))
    times = np.random.default_rng(2).integers(0, 3, size=120)
    repeated = vb.VariationalRegressor(**OPTIONS).fit(np.repeat(X, times, axis=0), np.repeat(Y, times))
    weighted = vb.VariationalRegressor(**OPTIONS).fit(X, Y, sample_weight=times)
    np.testing.assert_array_equal(weighted.predict(NEW), repeated.predict(NEW))
    np.testing.assert_array_equal(weighted.stacking_.weights, repeated.stacking_.weights)


def test_bands_open_up_outside_of_the_data():
    x = np.sort(np.random.default_rng(3).uniform(-1.0, 1.0, size=150))[:, None]
    y = np.sin(3.0 * x[:, 0]) + 0.1 * np.random.default_rng(4).normal(size=150)
    fitted = vb.VariationalRegressor(n_members=4, max_iter=300, n_draws=80, random_state=0).fit(x, y)
    lower, upper = fitted.predict_interval(np.array([[0.0], [3.0], [6.0]]), kind="epistemic").T
    inside, outside, farther = upper - lower
    assert farther > outside > 5.0 * inside


def test_a_candidate_that_fails_is_left_out(monkeypatch):
    def failing(candidate, *arguments):
        if candidate.likelihood == "heteroscedastic":
            raise NonFiniteLossError(1, 1, 1, "likelihood", None, "the start")
        return original(candidate, *arguments)

    original = training.train
    monkeypatch.setattr(training, "train", failing)
    fitted = vb.VariationalRegressor(**OPTIONS).fit(X, Y)
    assert fitted.stacking_.names == ("50-50, normal",)
    assert np.isfinite(fitted.predict(NEW)).all()
    with pytest.raises(NonFiniteLossError):
        vb.VariationalRegressor(**OPTIONS, likelihood="heteroscedastic").fit(X, Y)


def test_few_rows_are_not_held_out():
    few = vb.VariationalRegressor(**OPTIONS).fit(X[: choice.FEWEST_ROWS - 1], Y[: choice.FEWEST_ROWS - 1])
    np.testing.assert_allclose(few.stacking_.weights, 1.0 / 3.0)
    assert np.isfinite(few.predict(NEW)).all()


@pytest.mark.usefixtures("_handles_ctrl_c")
def test_ctrl_c_keeps_what_has_been_learned():
    """Pressed when all have compiled; a candidate that had not learned anything would be left out."""
    regressor = vb.VariationalRegressor(**{**OPTIONS, "max_iter": 10**7}, verbose=0)
    timer = threading.Timer(60.0, signal.raise_signal, [signal.SIGINT])
    timer.start()
    regressor.fit(X, Y)
    assert regressor.history_.stopped == "interrupted"
    assert 1 <= len(regressor.stacking_.names) <= 3
    assert np.isfinite(regressor.predict(NEW)).all()


def test_two_targets_and_early_stopping():
    options = {**OPTIONS, "early_stopping": True}
    fitted = vb.VariationalRegressor(**options).fit(X, np.stack([Y, -Y], axis=1))
    assert fitted.predict(NEW).shape == (9, 2)
    assert fitted.sample_y(NEW, 3).shape == (9, 2, 3)
    assert fitted.embedding_.num_columns == 4
    assert len(fitted.parameter_report_.input_names) == 6


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_threads_processes_and_one_after_the_other_train_the_same(model, n_jobs):
    again = vb.VariationalRegressor(**OPTIONS, n_jobs=n_jobs).fit(X, Y)
    np.testing.assert_array_equal(again.stacking_.weights, model.stacking_.weights)
    np.testing.assert_array_equal(again.predict(NEW), model.predict(NEW))
