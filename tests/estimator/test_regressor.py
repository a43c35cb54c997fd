"""The scikit-learn regressor: its contract, its predictive distribution, and what a fit depends on."""

import copy
import pickle

import joblib
import numpy as np
import pytest
import registry
from scipy import integrate, stats
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

import varbump as vb
from varbump.estimator.rows import check_weights, merged, spacing
from varbump.predict.predictive import BLOCK

SMALL = {
    "hidden_layer_sizes": (8,),
    "likelihood": "normal",
    "embedding": None,
    "n_members": 2,
    "max_iter": 40,
    "batch_size": 16,
    "n_draws": 20,
}

FAST_CHECKS = [
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
]
"""Of scikit-learn's checks, those that are run with the rest of the tests; all of them are among the slow tests."""

slow = pytest.mark.slow  # a fit compiles for seconds, however small it is


def small(**options):
    return vb.VariationalRegressor(**{**SMALL, "random_state": 0, **options})


def table(num_rows=90, num_targets=1, seed=0):
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(num_rows, 3)) * [1.0, 10.0, 0.1] + [0.0, 50.0, 3.0]
    clean = X[:, 0] ** 2 + 0.1 * X[:, 1]
    y = np.stack([100.0 + 20.0 * (k + 1) * clean for k in range(num_targets)], 1)
    y += 5.0 * generator.normal(size=y.shape)
    return X, y if num_targets > 1 else y[:, 0]


@pytest.fixture(scope="module")
def data():
    return table()


@pytest.fixture(scope="module")
def model(data):
    return small().fit(*data)


@pytest.fixture(scope="module")
def two():
    X, Y = table(num_targets=2)
    return X, Y, small(likelihood="student_t").fit(X, Y)


@slow
def test_functions_and_observations_are_in_units_of_y(data, model):
    X, y = data
    f = model.predict_f(X, num_draws=model.n_draws)
    assert (f.shape, f.kind) == ((20, 90, 1), "epistemic")
    # the functions that `predict` averages over; float32 in units of y near 100
    np.testing.assert_allclose(f.mean(0)[:, 0], model.predict(X), rtol=1e-5)
    lower, upper = model.predict_interval(X, coverage=0.9, kind="epistemic").T
    np.testing.assert_allclose(np.quantile(f[..., 0], [0.05, 0.95], axis=0), [lower, upper], rtol=1e-4)
    np.testing.assert_array_equal(vb.predict_f(model, X, num_draws=7, seed=3), model.predict_f(X, 7, seed=3))
    scaled = model.x_scaler_.transform(X)
    standardised = vb.predict_f(model.ensemble_, scaled, num_draws=7, seed=3)
    expected = standardised * model.y_scaler_.scale_ + model.y_scaler_.mean_
    np.testing.assert_allclose(vb.predict_f(model, X, num_draws=7, seed=3), expected, rtol=1e-5)

    drawn = vb.predict_y(model, X, num_draws=400, seed=3)
    assert drawn.kind == "predictive"
    _, sd = model.predict(X, return_std=True)
    # 36,000 draws of 20 functions: their sds agree to a few percent
    assert np.sqrt(np.mean(drawn.var(0))) == pytest.approx(np.sqrt(np.mean(sd**2)), rel=0.1)
    bands = vb.predict_bands(model, X, kind="predictive", num_draws=400, seed=3)
    assert bands.kind == "predictive"
    np.testing.assert_allclose(bands.mean, drawn.mean(0), rtol=1e-5)
    narrow = vb.predict_bands(model, X, num_draws=7, seed=3)
    assert narrow.kind == "epistemic"
    np.testing.assert_allclose(narrow.sd, expected.std(0, ddof=1), rtol=1e-3)
    for call in (vb.predict_f, vb.predict_bands):
        with pytest.raises(TypeError, match="left out for an estimator.*kind='predictive'"):
            call(model, X, likelihood=model.likelihood_)
    with pytest.raises(NotFittedError):
        vb.predict_f(small(), X)


@pytest.mark.slow
def test_several_intervals_at_once_are_those_of_single_calls(data, model):
    X = data[0][:3]
    several = model.predict_interval(X, coverage=(0.5, 0.95))
    assert list(several) == [0.5, 0.95]
    for coverage, ends in several.items():
        np.testing.assert_array_equal(ends, model.predict_interval(X, coverage=coverage))
    with pytest.raises(ValueError, match="coverage must be numbers between 0 and 1"):
        model.predict_interval(X, coverage=(0.5, 95))


@pytest.mark.slow
def test_raw_rows_in_a_standardised_network_are_noticed(data, model):
    X, _ = data
    with pytest.warns(UserWarning, match="column 1 of x is beyond 10 in 100% of the rows") as caught:
        vb.predict_f(model.ensemble_, X, num_draws=2)
    assert [warning.filename for warning in caught] == [__file__]
    scaled = model.x_scaler_.transform(X)
    scaled[:5] = 1e3  # a few rows far away; warnings are errors in tests
    vb.predict_f(model.ensemble_, scaled, num_draws=2)
    vb.predict_f(model, 100.0 * X, num_draws=2)  # far outside, but in its own units


@slow
def test_all_networks_of_a_regressor_know_that_they_take_standardised_rows(data, model):
    X, y = data
    for source in (model.network_, pickle.loads(pickle.dumps(model)).ensemble_, model.ensemble_.member(1)):
        with pytest.warns(UserWarning, match="takes standardised x"):
            vb.predict_bands(source, X, num_draws=2)
    with pytest.warns(UserWarning, match="takes standardised x"):
        vb.evaluate(model.ensemble_, X, y, num_draws=2)


@pytest.mark.parametrize("name", FAST_CHECKS)
def test_scikit_learn(name):
    getattr(estimator_checks, name)("VariationalRegressor", small())


@slow
@pytest.mark.filterwarnings("default")  # the checks make warnings of their own
@parametrize_with_checks([small()])
def test_scikit_learn_all(estimator, check):
    check(estimator)


def test_fitted_attributes(data, model):
    X, y = data
    assert model.n_features_in_ == 3
    assert not hasattr(model, "feature_names_in_")
    assert model.n_iter_ == 40 == len(model.history_.history["loss"])
    assert isinstance(model.noise_std_, float)
    assert model.network_ is model.ensemble_.network
    assert model.parameter_report_.num_data == len(X)
    assert len(model.parameter_report_.relevance) == 3


def test_answers_are_in_the_units_of_y(data, model):
    X, y = data
    mean, std = model.predict(X, return_std=True)
    assert mean.shape == std.shape == y.shape
    assert model.score(X, y) > 0.5
    units = np.array([2.0**10, 2.0**-10, 1.0])  # powers of two: the standardised numbers are the same to the last bit
    again = small().fit(X * units, 2.0**13 * y)
    far, far_std = again.predict(X * units, return_std=True)
    np.testing.assert_allclose(far, 2.0**13 * mean, rtol=1e-9)
    np.testing.assert_allclose(far_std, 2.0**13 * std, rtol=1e-9)
    assert again.noise_std_ == pytest.approx(2.0**13 * model.noise_std_)


def test_standard_deviation_includes_the_noise(data, model):
    X, _ = data
    _, std = model.predict(X, return_std=True)
    assert (std >= model.noise_std_ * 0.99).all()  # of two members, whose scales differ a little
    total, epistemic = (np.diff(model.predict_interval(X, kind=kind))[:, 0] for kind in ("total", "epistemic"))
    assert (epistemic < total).all()


def test_a_row_does_not_depend_on_its_company(data, model):
    X, _ = data
    many = np.concatenate([X, 2.0 * X, X[::-1], X[:50]])
    assert len(many) > BLOCK
    for answer in (
        lambda x: model.predict(x, return_std=True)[1],
        model.predict,
        lambda x: model.predict_interval(x)[:, 0],
        lambda x: model.predict_quantiles(x, [0.9])[:, 0],
    ):
        whole = answer(many)
        single = [answer(many[i : i + 1])[0] for i in (0, 17, 89, 90, 255, 256, len(many) - 1)]
        np.testing.assert_array_equal(single, whole[[0, 17, 89, 90, 255, 256, len(many) - 1]])
        np.testing.assert_array_equal(answer(X[::-1]), whole[180:270])


@slow
@pytest.mark.parametrize("likelihood", ["normal", "heteroscedastic", "student_t"])
@slow
def test_intervals_moments_and_densities_are_of_one_distribution(data, likelihood):
    X, y = data
    model = small(likelihood=likelihood).fit(X, y)
    row, (mean, std) = X[:1], model.predict(X[:1], return_std=True)
    grid = mean[0] + std[0] * np.linspace(-40, 40, 8001)
    density = np.exp(model.log_predictive_density(np.repeat(row, len(grid), axis=0), grid))
    assert integrate.trapezoid(density, grid) == pytest.approx(1.0, abs=2e-4)
    assert integrate.trapezoid(grid * density, grid) == pytest.approx(mean[0], abs=2e-3 * std[0])
    variance = integrate.trapezoid((grid - mean[0]) ** 2 * density, grid)
    # the tails of a Student t of few degrees of freedom hold variance beyond 40 sd
    assert variance == pytest.approx(std[0] ** 2, rel=0.05 if likelihood == "student_t" else 1e-3)
    low, high = model.predict_interval(row, coverage=0.8)[0]
    inside = (grid > low) & (grid < high)
    assert integrate.trapezoid(density[inside], grid[inside]) == pytest.approx(0.8, abs=0.01)  # the grid's cells
    quantiles = model.predict_quantiles(row, [0.1, 0.5, 0.9])[0]
    # the levels of the interval, (1 - 0.8) / 2 and so on, are those of the quantiles up to rounding
    np.testing.assert_allclose(quantiles[[0, 2]], [low, high], rtol=1e-12)
    assert low < quantiles[1] < high
    draws = model.sample_y(row, 4000, random_state=1)[0]
    # Kolmogorov's distance of 4,000 draws from the law at 20 draws of the weights: those are drawn anew, so the
    # means of the two, each over weights, differ by about an epistemic sd / sqrt(20)
    at = model.predict_quantiles(row, np.linspace(0.05, 0.95, 19))[0]
    assert np.abs(np.mean(draws[:, None] <= at, axis=0) - np.linspace(0.05, 0.95, 19)).max() < 0.2
    assert draws.std() == pytest.approx(std[0], rel=0.4)


def test_draws_are_functions(data, model):
    X, _ = data
    first, again, other = (model.sample_y(X, 3, random_state=seed) for seed in (0, 0, 1))
    assert first.shape == (len(X), 3)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert model.sample_y(X, 1).shape == (len(X), 1)


@slow
def test_several_targets(two):
    X, Y, model = two
    mean, std = model.predict(X, return_std=True)
    assert mean.shape == std.shape == Y.shape
    assert model.noise_std_.shape == (2,)
    assert model.noise_std_[1] > 0
    assert model.predict_interval(X).shape == (len(X), 2, 2)
    assert model.predict_quantiles(X, [0.1, 0.2, 0.9]).shape == (len(X), 3, 2)
    assert model.sample_y(X, 5).shape == (len(X), 2, 5)
    assert model.log_predictive_density(X, Y).shape == (len(X),)
    assert small(max_iter=1).fit(X, Y[:, :1]).predict(X).shape == (len(X), 1)


@pytest.mark.parametrize("way", [pytest.param(copy.deepcopy, marks=slow), "pickle", pytest.param("joblib", marks=slow)])
@pytest.mark.parametrize("targets", [1, pytest.param(2, marks=slow)])
@slow
def test_copies_say_the_same(data, model, way, targets, tmp_path, request):
    X, model = (data[0], model) if targets == 1 else request.getfixturevalue("two")[::2]
    before = model.predict(X, return_std=True)
    if way == "joblib":
        joblib.dump(model, tmp_path / "model.joblib")
        copied = joblib.load(tmp_path / "model.joblib")
    else:
        copied = pickle.loads(pickle.dumps(model)) if way == "pickle" else way(model)
    np.testing.assert_array_equal(copied.predict(X, return_std=True), before)
    np.testing.assert_array_equal(copied.sample_y(X, 2), model.sample_y(X, 2))
    np.testing.assert_array_equal(copied.predict_interval(X), model.predict_interval(X))
    assert copied.history_.history == model.history_.history
    assert copied.network_ is not model.network_
    assert copied.network_ is copied.ensemble_.network
    for mine, theirs in zip(copied.network_.weights, model.network_.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@slow
def test_parameters_set_after_a_fit_do_not_reach_what_was_fitted(data, model):
    X, _ = data
    changed = pickle.loads(pickle.dumps(model))
    changed.set_params(hidden_layer_sizes=(3, 3), n_members=7, likelihood="student_t")
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(changed)).predict(X), model.predict(X))


def test_a_fit_that_fails_leaves_the_one_before(data, model, monkeypatch):
    X, y = data
    refitted = copy.deepcopy(model)

    def fail(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("varbump.estimator.training.fit_ensemble", fail)
    with pytest.raises(KeyboardInterrupt):
        refitted.fit(10.0 * X, 1e6 + y)
    np.testing.assert_array_equal(refitted.predict(X), model.predict(X))


def test_clone_forgets_the_fit(model):
    with pytest.raises(NotFittedError):
        clone(model).predict(np.zeros((1, 3)))


@slow
def test_a_fit_is_a_function_of_the_weighted_set(data):
    X, y = data
    counts = np.arange(len(X)) % 4
    tiny = small(max_iter=2)
    expected = clone(tiny).fit(X, y, sample_weight=counts).predict(X)
    order = np.random.default_rng(0).permutation(counts.sum())
    repeated = np.repeat(X, counts, axis=0)[order], np.repeat(y, counts)[order]
    np.testing.assert_array_equal(clone(tiny).fit(*repeated).predict(X), expected)
    assert not np.array_equal(clone(tiny).fit(X, y).predict(X), expected)


@slow
def test_the_seed_decides(data, model):
    X, y = data
    np.testing.assert_array_equal(small().fit(X, y).predict(X), model.predict(X))
    assert not np.array_equal(small(random_state=1).fit(X, y).predict(X), model.predict(X))
    generators = [np.random.RandomState(5) for _ in range(2)]
    one, other = (small(max_iter=1, random_state=g).fit(X, y).predict(X) for g in generators)
    np.testing.assert_array_equal(one, other)


@slow
def test_constant_columns_and_targets_survive():
    X, y = table(40)
    X[:, 1] = 7.0
    assert np.isfinite(small(max_iter=2).fit(X, y).predict(X)).all()
    flat = small(max_iter=60).fit(X, np.full(len(X), 3.0))
    mean, std = flat.predict(X, return_std=True)
    assert np.isfinite(std).all()
    np.testing.assert_allclose(mean, 3.0, atol=0.5)


@slow
def test_a_floor_for_targets_on_a_grid():
    X, y = table(60)
    grades = np.round(y / 50.0)
    model = small(likelihood="heteroscedastic", max_iter=1).fit(X, grades)
    assert model.likelihood_.min_scale * model.y_scaler_.scale_[0] == pytest.approx(1 / np.sqrt(12), rel=1e-6)
    assert small(max_iter=1).fit(X, y).likelihood_.get_config()["min_scale"] == 1e-6


@slow
@pytest.mark.parametrize("likelihood", ["normal", "student_t"])
def test_noise_of_a_ten_thousandth_is_recovered(likelihood):
    generator = np.random.default_rng(0)
    X = generator.normal(size=(150, 2))
    y = X @ [1.0, -0.5]
    y += 1e-4 * y.std() * generator.normal(size=150)
    model = vb.VariationalRegressor(
        (), likelihood=likelihood, embedding=None, n_members=1, max_iter=15_000, random_state=0
    ).fit(X, y)
    # 150 residuals know their sd to within 6 %; a t with 4 degrees of freedom has a larger sd for the same residuals
    expected = 1e-4 * y.std() * (1.0 if likelihood == "normal" else 1.15)
    assert model.noise_std_ == pytest.approx(expected, rel=0.2)


@slow
@pytest.mark.parametrize("likelihood", ["normal", "student_t", "heteroscedastic"])
def test_data_without_noise_stay_finite(likelihood):
    X = np.repeat(np.linspace(-1.0, 1.0, 40), 2)[:, None]
    y = 3.0 * X[:, 0] + 1.0
    model = vb.VariationalRegressor((), likelihood=likelihood, embedding=None, n_members=2, random_state=0).fit(X, y)
    mean, std = model.predict(X, return_std=True)
    assert np.isfinite(model.history_.history["loss"]).all()
    np.testing.assert_allclose(mean, y, atol=0.01)
    assert 0.0 < std.max() < 0.02


@slow
def test_early_stopping(data):
    X, y = data
    model = small(early_stopping=True, max_iter=400, n_iter_no_change=3).fit(X, y)
    assert model.n_iter_ < 400
    assert model.history_.stopped == "patience"
    assert model.history_.num_data == 81
    assert "val_loss" in model.history_.history


@slow
@pytest.mark.parametrize(
    "options",
    [
        {"hidden_layer_sizes": ()},
        {"hidden_layer_sizes": 4, "activation": "bump"},
        {"hidden_layer_sizes": [4, 3], "activation": "tanh", "posterior": "full_covariance", "prior": "normal"},
        {"posterior": "low_rank", "prior": "trainable", "n_members": 1},
        {"posterior": "joint", "prior": vb.priors.Normal(0.5)},
        {"posterior": vb.posteriors.MeanFieldNormal(scale=0.1), "prior": "laplace", "activation": "gaussian_bump"},
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value)),
)
@slow
def test_settings(data, options):
    X, y = data
    model = small(max_iter=2, **options).fit(X, y)
    before = model.predict(X, return_std=True)
    assert np.isfinite(before).all()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X, return_std=True), before)


def possible(likelihood, y):
    """y such as the likelihood allows for."""
    if likelihood.atoms:
        return np.clip((y - y.mean()) / y.std(), *likelihood.support)
    return np.abs(np.round(y)) + 1.0 if likelihood.discrete or likelihood.open_support else y


@slow
@pytest.mark.parametrize("name", ["poisson", "negative_binomial", "gamma", "log_normal", "censored_normal"])
def test_y_of_a_fixed_origin_is_not_standardised(name):
    generator = np.random.default_rng(0)
    X = generator.uniform(-1, 1, size=(400, 2))
    mean = np.exp(8.0 + 0.5 * X[:, 0])
    y = {
        "poisson": lambda: generator.poisson(mean),
        "negative_binomial": lambda: generator.negative_binomial(4.0, 4.0 / (4.0 + mean)),
        "gamma": lambda: generator.gamma(4.0, mean / 4.0),
        "log_normal": lambda: mean * np.exp(0.5 * generator.normal(size=400)),
        "censored_normal": lambda: np.maximum(mean + 1000.0 * generator.normal(size=400), 2000.0),
    }[name]()
    model = small(likelihood=name, max_iter=100, n_draws=40).fit(X, y)
    assert (model.y_scaler_.mean_[0], model.y_scaler_.scale_[0]) == (0.0, 1.0)
    stds = model.predict(X, return_std=True)[1]
    assert 0.0 < model.noise_std_ < 1.05 * np.sqrt(np.mean(stds**2))
    constant = np.sqrt(np.mean((y - y.mean()) ** 2))
    assert np.sqrt(np.mean((model.predict(X) - y) ** 2)) < constant  # it has learned something
    low, high = model.predict_interval(X, coverage=0.9).T
    # 400 rows know a coverage of 0.9 to 0.015, 5 of these; a Poisson that is not trained to its end is too wide
    assert np.mean((low <= y) & (y <= high)) > 0.9 - 0.075
    scores = vb.evaluate(model, X, y)
    assert scores.log_likelihood == pytest.approx(model.log_predictive_density(X, y).mean())
    assert 0.0 < scores.crps < constant
    drawn = model.sample_y(X, 2)
    if model.likelihood_.discrete:
        np.testing.assert_array_equal([low, drawn[:, 0]], np.floor([low, drawn[:, 0]]))
    if name == "censored_normal":
        assert min(low.min(), drawn.min()) == model.likelihood_.lower == 2000.0
    of_mean = model.predict_interval(X, coverage=0.9, kind="epistemic")
    assert np.mean(of_mean[:, 1] - of_mean[:, 0]) < np.mean(high - low)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_quantiles(X), model.predict_quantiles(X))
    np.testing.assert_array_equal(model.predict_interval(X[5:7], coverage=0.9), np.stack([low, high], 1)[5:7])


def test_counts_that_are_none_are_refused(data):
    X, y = data
    with pytest.raises(ValueError, match=r"y must hold whole numbers for Poisson.* in row 0"):
        small(likelihood="poisson").fit(X, y)


@slow
@pytest.mark.parametrize("likelihood", registry.flatten(registry.LIKELIHOODS), ids=registry.name)
@slow
def test_every_likelihood(data, likelihood):
    X, y = data[0], possible(likelihood, data[1])
    before = likelihood.get_config()
    model = small(likelihood=likelihood, max_iter=1, n_draws=4).fit(X, y)
    assert likelihood.get_config() == before
    assert np.isfinite(model.predict_interval(X)).all()
    assert np.isfinite(model.log_predictive_density(X, y)).all()
    assert model.noise_std_ > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_layer_sizes": 0}, "hidden_layer_sizes"),
        ({"hidden_layer_sizes": (4, 0)}, "hidden_layer_sizes"),
        ({"hidden_layer_sizes": (2.5,)}, "hidden_layer_sizes .* got .*2.5"),
        ({"hidden_layer_sizes": ((3, 3),)}, "hidden_layer_sizes"),
        ({"activation": "rleu"}, "activation"),
        ({"posterior": "meanfield"}, "posterior"),
        ({"prior": vb.priors.Normal}, "prior"),
        ({"likelihood": "binomial"}, "likelihood.*poisson"),
        ({"n_members": 0}, "n_members"),
        ({"max_iter": 0}, "max_iter"),
        ({"max_iter": 1.5}, "max_iter"),
        ({"batch_size": "all"}, "batch_size"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"kl_warmup": 1.0}, "kl_warmup"),
        ({"early_stopping": "yes"}, "early_stopping"),
        ({"validation_fraction": 1.0}, "validation_fraction"),
        ({"n_iter_no_change": 0}, "n_iter_no_change"),
        ({"n_draws": 1}, "n_draws"),
        ({"random_state": "zero"}, "random_state"),
        ({"verbose": -1}, "verbose"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value)),
)
def test_parameters_out_of_range_are_named(data, options, message):
    with pytest.raises(ValueError, match=message):
        small(**options).fit(*data)


def test_bad_arguments_are_named(data, model):
    X, y = data
    for coverage in (0, 1, 95, "0.9"):
        with pytest.raises(ValueError, match="coverage"):
            model.predict_interval(X, coverage=coverage)
    with pytest.raises(ValueError, match="kind"):
        model.predict_interval(X, kind="both")
    with pytest.raises(ValueError, match="quantiles"):
        model.predict_quantiles(X, [0.5, 1.5])
    with pytest.raises(ValueError, match="n_samples"):
        model.sample_y(X, 0)
    with pytest.raises(ValueError, match="features"):
        model.predict(X[:, :2])
    with pytest.raises(ValueError, match="y must have shape"):
        model.log_predictive_density(X, y[:3])
    with pytest.raises(ValueError, match="y must be finite"):
        model.log_predictive_density(X, y * np.nan)
    with pytest.raises(ValueError, match="quantiles must be"):
        model.predict_quantiles(X, ["median"])
    with pytest.raises(ValueError, match="sample_weight must hold numbers"):
        small().fit(X, y, sample_weight="all")
    for weights in (np.ones(3), -np.ones(len(X)), np.zeros(len(X)), np.full(len(X), np.nan)):
        with pytest.raises(ValueError, match="sample_weight"):
            small().fit(X, y, sample_weight=weights)


@pytest.mark.parametrize("scale", [1e200, 1e300, 1e-200])
@pytest.mark.parametrize("name", ["X", "y"])
def test_units_that_float64_cannot_square_are_refused(data, name, scale):
    X, y = data
    with pytest.raises(ValueError, match=f"column 0 of {name} must stay below 1e.150 and vary by more than 1e-150"):
        small().fit(X * scale, y) if name == "X" else small().fit(X, y * scale)


def test_targets_that_are_no_numbers_are_named_by_their_row(data):
    X, y = data
    missing = y.astype(object)
    missing[3] = None
    with pytest.raises(ValueError, match="y must be finite .* the first in row 3"):
        small().fit(X, missing)
    with pytest.raises(ValueError, match="y must hold numbers: could not convert"):
        small().fit(X, ["small"] * len(X))


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([[1], [2]], r"column 'kind' has \[1\]; make it numbers or text"),
        ([{"a": 1}, {"a": 2}], "column 'kind' has {'a': 1}; make it numbers or text"),
        (["small", 2], "column 'kind' mixes 2 and 'small'; make it numbers or text"),
        ([1j, 2.0], r"column 'kind' mixes 2.0 and 1j"),
    ],
    ids=["lists", "dictionaries", "text and numbers", "complex"],
)
def test_columns_of_a_frame_that_are_nothing_known_are_named(column, message):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"width": [0.0, 1.0], "kind": pandas.Series(column, dtype=object)})
    with pytest.raises(ValueError, match=message):
        small().fit(frame, [0.0, 1.0])


@slow
def test_data_frames_bring_names(data):
    pandas = pytest.importorskip("pandas")
    X, y = data
    frame = pandas.DataFrame(X, columns=["width", "height", "depth"])
    model = small(max_iter=2).fit(frame, pandas.Series(y))
    assert list(model.feature_names_in_) == ["width", "height", "depth"]
    np.testing.assert_array_equal(model.predict(frame), small(max_iter=2).fit(X, y).predict(X))
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[["height", "width", "depth"]])


@slow
def test_polars_frames_bring_names(data):
    polars = pytest.importorskip("polars")
    X, y = data
    model = small(max_iter=2).fit(polars.DataFrame(X, schema=["width", "height", "depth"]), y)
    assert list(model.feature_names_in_) == ["width", "height", "depth"]


@slow
def test_in_a_pipeline_and_a_grid(data):
    X, y = data
    pipeline = make_pipeline(StandardScaler(), small(max_iter=10))
    assert cross_val_score(pipeline, X, y, cv=2).shape == (2,)
    weights = {"variationalregressor__sample_weight": np.ones(len(X))}
    assert pipeline.fit(X, y, **weights).predict(X).shape == y.shape


@slow
def test_grid_search_in_two_processes(data):
    X, y = data
    search = GridSearchCV(small(max_iter=5), {"hidden_layer_sizes": [(4,), (8,)]}, cv=2, n_jobs=2)
    search.fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert np.isfinite(search.predict(X)).all()


def test_merged_rows():
    x, y = np.array([[1.0], [0.0], [1.0], [-0.0], [2.0]]), np.array([[1.0], [2.0], [1.0], [2.0], [3.0]])
    rows = merged(x, y, np.array([1.0, 2.0, 3.0, 4.0, 0.0]))
    np.testing.assert_array_equal(rows[0], [[0.0], [1.0]])
    np.testing.assert_array_equal(rows[1], [[2.0], [1.0]])
    np.testing.assert_array_equal(rows[2], [6.0, 4.0])


def test_weights_and_spacing():
    np.testing.assert_array_equal(check_weights(None, 2), [1.0, 1.0])
    np.testing.assert_array_equal(check_weights(3, 2), [3.0, 3.0])
    assert spacing(np.array([0.3, 0.1, 0.1, 0.2])) == pytest.approx(0.1)
    assert spacing(np.array([5.0, 5.0])) == 0.0
    assert spacing(np.array([1.0, 1.0 + 1e-12, 3.0])) == pytest.approx(2.0)
    grid = np.random.default_rng(0).integers(0, 50, 200) / 10.0
    assert spacing(grid) == pytest.approx(0.1)
    assert spacing((1e3 + grid).astype(np.float32).astype(float)) == pytest.approx(0.1, rel=1e-3)
    assert spacing(np.append(grid, 0.123)) == 0.0  # no grid
    assert spacing(np.linspace(0.0, 1.0, 100)) == 0.0  # nothing repeats: any smooth function of equally spaced x


@slow
def test_draws_of_heavy_tailed_noise_have_its_sd():
    model = small(likelihood=vb.likelihoods.StudentT(0.5, df=6.0), hidden_layer_sizes=(), max_iter=1)
    X, y = table(40)
    model.fit(X, y)
    draws = model.sample_y(X[:1], 20_000, random_state=0)
    sd = np.concatenate([draws[0]]).std()
    # the law of a sample variance of t with 6 degrees of freedom: sd of 1 % of 20,000 draws
    assert sd == pytest.approx(model.predict(X[:1], return_std=True)[1][0], rel=0.35)
    assert stats.kurtosis(draws[0]) > -1.0


def test_covariances_are_those_of_the_functions_and_the_noise(data, model):
    X, _ = data
    mean, cov = model.predict(X[:7], return_cov=True)
    f = model.predict_f(X[:7], num_draws=model.n_draws)[..., 0]
    np.testing.assert_allclose(mean, model.predict(X[:7]), rtol=1e-6)
    off = ~np.eye(7, dtype=bool)
    np.testing.assert_allclose(cov[off], np.cov(f.T, bias=True)[off], rtol=1e-4, atol=1e-6)  # float32
    np.testing.assert_allclose(np.sqrt(np.diag(cov)), model.predict(X[:7], return_std=True)[1], rtol=1e-6)
    with pytest.raises(ValueError, match="return_std and return_cov cannot both be true"):
        model.predict(X[:7], return_std=True, return_cov=True)


def test_one_axis_is_refused_without_printing_all_of_it():
    x = np.linspace(0.0, 1.0, 300)
    with pytest.raises(
        ValueError, match=r"^X must have the shape \(N, D\), got \(300,\). Reshape your data: X.resh.{,80}$"
    ):
        vb.VariationalRegressor().fit(x, x)
