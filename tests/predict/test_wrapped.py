"""Regressors inside of pipelines, transformed targets and searches."""

import numpy as np
import pandas as pd
import pytest
from exact_linear import ExactRegressor
from scipy import integrate, stats
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, PowerTransformer, QuantileTransformer, StandardScaler
from small_regressor import positive_table, small_regressor

import varbump as vb


@pytest.fixture(scope="module")
def data():
    return positive_table()


@pytest.fixture(scope="module")
def logged(data):
    """A pipeline inside of a transformed target: y = exp(z)."""
    inner = make_pipeline(StandardScaler(), ExactRegressor())
    return TransformedTargetRegressor(inner, func=np.log, inverse_func=np.exp).fit(*data)


def target(logged, transformer):
    """The same fitted regressor behind another transform of y."""
    made = TransformedTargetRegressor(logged.regressor_, transformer=transformer, check_inverse=False)
    made.regressor_, made.transformer_, made._training_dim = logged.regressor_, transformer, 1
    return made


def test_a_pipeline_is_its_last_step_on_transformed_rows(data, logged):
    X, y = data
    pipeline = logged.regressor_
    leaf, rows = pipeline[-1], pipeline[0].transform(X)
    np.testing.assert_array_equal(vb.predict_interval(pipeline, X, 0.9), vb.predict_interval(leaf, rows, 0.9))
    np.testing.assert_array_equal(vb.predict_quantiles(pipeline, X), vb.predict_quantiles(leaf, rows))
    assert vb.predict_quantiles(pipeline, X, [0.5]).shape == (40, 1)
    z = np.log(y)
    np.testing.assert_array_equal(vb.predict_dist(pipeline, X).log_pdf(z), leaf.predict_dist(rows).log_pdf(z))
    assert str(vb.evaluate(pipeline, X, z)) == str(vb.evaluate(leaf, rows, z))


def test_a_transformed_target_is_in_the_units_of_y(data, logged):
    X, y = data
    leaf, rows = logged.regressor_[-1], logged.regressor_[0].transform(X)
    made = vb.predict_dist(logged, X)
    np.testing.assert_allclose(made.ppf([0.1, 0.9]), np.exp(leaf.predict_dist(rows).ppf([0.1, 0.9])), rtol=1e-9)
    # a slope by a fourth-order difference over 1e-3 sd is exact to 1e-11
    expected = leaf.predict_dist(rows).log_pdf(np.log(y)) - np.log(y)
    np.testing.assert_allclose(made.log_pdf(y), expected, rtol=1e-8)
    np.testing.assert_allclose(made.cdf(y), leaf.predict_dist(rows).cdf(np.log(y)), rtol=1e-9)
    assert (made.cdf(-1.0) == 0.0).all()
    assert (made.log_pdf(-1.0) == -np.inf).all()


def test_moments_and_scores_of_a_transformed_target(data, logged):
    X, y = data[0][:3], data[1][:3]
    made = vb.predict_dist(logged, X)
    z = vb.predict_dist(logged.regressor_, X)
    parts = [mixture for _, mixture in z.blocks()][0]
    normal = stats.lognorm(s=parts.scale[..., 0], scale=np.exp(parts.loc[..., 0]))
    # 113 quantiles of a smooth integrand: 1e-6 or better
    np.testing.assert_allclose(made.mean(), normal.mean().mean(0), rtol=1e-5)
    second = (normal.var() + normal.mean() ** 2).mean(0)
    np.testing.assert_allclose(made.std(), np.sqrt(second - normal.mean().mean(0) ** 2), rtol=1e-4)
    scores = vb.evaluate(logged, X, y)
    expected = []
    for row in range(3):
        grid = np.exp(np.linspace(np.log(y[row]) - 12.0, np.log(y[row]) + 12.0, 40_001))
        cdf = stats.norm(parts.loc[:, row], parts.scale[:, row]).cdf(np.log(grid)).mean(0)
        expected.append(integrate.trapezoid((cdf - (grid >= y[row])) ** 2, grid))
    assert scores.crps == pytest.approx(np.mean(expected), rel=1e-3)  # the jump of the naive integrand, 6e-4
    assert scores.log_likelihood == pytest.approx(made.log_pdf(y).mean(), rel=1e-9)
    assert scores.rmse == pytest.approx(np.sqrt(np.mean((made.mean() - y) ** 2)), rel=1e-9)


def test_affine_transforms_are_exact(data, logged):
    X, _ = data
    scaler = StandardScaler().fit(np.array([[3.0], [7.0]]))  # mean 5, scale 2
    made, z = vb.predict_dist(target(logged, scaler), X), vb.predict_dist(logged.regressor_, X)
    np.testing.assert_allclose(made.mean(), 5.0 + 2.0 * z.mean(), rtol=1e-12)
    np.testing.assert_allclose(made.std(), 2.0 * z.std(), rtol=1e-12)
    np.testing.assert_allclose(made.log_pdf(6.0), z.log_pdf(0.5) - np.log(2.0), rtol=1e-9)


def test_power_transforms(data, logged):
    X, y = data
    power = PowerTransformer().fit(np.log(y[:, None]))
    assert 0.0 < power.lambdas_[0] < 2.0  # otherwise the inverse ends somewhere
    made = vb.predict_dist(target(logged, power), X)
    middle = made.ppf(0.3)
    np.testing.assert_allclose(made.cdf(middle), 0.3, rtol=1e-6)  # as exactly as the transform is undone
    expected = vb.predict_quantiles(logged.regressor_, X, [0.3])
    np.testing.assert_allclose(middle, power.inverse_transform(expected)[:, 0], rtol=1e-12)
    assert np.isfinite(made.log_pdf(middle)).all()


def test_draws_of_a_transformed_target(data, logged):
    X, _ = data
    drawn = vb.predict_dist(logged, X).rvs(50, random_state=0)
    assert drawn.shape == (40, 50)
    np.testing.assert_allclose(np.log(drawn), vb.predict_dist(logged.regressor_, X).rvs(50, random_state=0), rtol=1e-9)


def test_transforms_without_an_answer_are_refused(data, logged):
    X, y = data

    class Bent:
        """y = z^2 up to z = 0: not increasing."""

        def transform(self, y):
            return np.sqrt(y)

        def inverse_transform(self, z):
            return np.square(z)

    with pytest.raises(ValueError, match="inverse of the transform of y must increase .* for row 0 of x"):
        vb.evaluate(target(logged, Bent()), X - [50.0, 0.0], y)

    class Down:
        def transform(self, y):
            return -y

        inverse_transform = transform

    with pytest.raises(ValueError, match="must increase with y; multiply it by -1"):
        vb.predict_interval(target(logged, Down()), X)

    class Other(Bent):
        """No inverse of each other."""

        def inverse_transform(self, z):
            return np.exp(0.5 * z)

    with pytest.raises(ValueError, match="must undo each other"):
        vb.predict_dist(target(logged, Other()), X).cdf(np.median(y))
    steps = QuantileTransformer(n_quantiles=10, output_distribution="normal").fit(y[:, None])
    interval = vb.predict_interval(target(logged, steps), X, 0.5)
    assert (np.diff(interval) > 0).all()  # quantiles need no slope
    with pytest.raises(ValueError, match=r"no slope at the y of row \d+, so a density"):
        vb.predict_dist(target(logged, steps), X).log_pdf(np.interp(3.0, range(10), np.ravel(steps.quantiles_)))


def test_models_without_a_distribution_are_named(data):
    X, y = data
    with pytest.raises(TypeError, match="holds a LinearRegression, which has no predictive distribution"):
        vb.evaluate(make_pipeline(StandardScaler(), LinearRegression()).fit(X, y), X, y)
    with pytest.raises(TypeError, match="model must be a network, what varbump.fit_ensemble"):
        vb.predict_interval("model", X)
    network, likelihood = vb.build_network(1, seed=0), vb.likelihoods.Normal(1.0)
    with pytest.raises(TypeError, match="got SavedModel; its attributes 'network' and 'likelihood'"):
        vb.predict_interval(vb.SavedModel(network, likelihood), X)
    with pytest.raises(NotFittedError):
        vb.predict_dist(make_pipeline(StandardScaler(), small_regressor()), X)
    with pytest.raises(NotFittedError):
        vb.predict_dist(GridSearchCV(small_regressor(), {"n_draws": [4]}), X)
    with pytest.raises(TypeError, match="likelihood must be left out for an estimator"):
        vb.evaluate(small_regressor(), X, y, likelihood=vb.likelihoods.Normal(1.0))


@pytest.mark.slow
def test_a_regressor_says_the_same_in_all_ways(data):
    X, y = data
    pipeline = make_pipeline(StandardScaler(), small_regressor()).fit(X, y)
    leaf, rows = pipeline[-1], pipeline[0].transform(X)
    # methods of the regressor use the distribution of standardised y: rounding
    np.testing.assert_allclose(vb.predict_quantiles(pipeline, X), leaf.predict_quantiles(rows), rtol=1e-9)
    np.testing.assert_allclose(vb.predict_interval(pipeline, X), leaf.predict_interval(rows), rtol=1e-9)
    made = vb.predict_dist(pipeline, X)
    np.testing.assert_allclose(made.log_pdf(y), leaf.log_predictive_density(rows, y), rtol=1e-9)
    np.testing.assert_allclose([made.mean(), made.std()], leaf.predict(rows, return_std=True), rtol=1e-9)


@pytest.mark.slow
def test_searches_and_columns(data):
    X, y = data
    frame = pd.DataFrame(X, columns=["a", "b"]).assign(c=np.where(X[:, 0] > 0, "up", "down"))
    columns = ColumnTransformer([("code", OneHotEncoder(), ["c"]), ("scale", StandardScaler(), ["a", "b"])])
    pipeline = make_pipeline(columns, small_regressor())
    grid = GridSearchCV(pipeline, {"variationalregressor__n_draws": [4, 6]}, cv=2, scoring=vb.scorer("crps"))
    grid.fit(frame, y)
    np.testing.assert_array_equal(vb.predict_interval(grid, frame), vb.predict_interval(grid.best_estimator_, frame))
    assert vb.evaluate(grid, frame, y).num_data == 40
    assert (grid.cv_results_["mean_test_score"] < 0).all()
    search = RandomizedSearchCV(small_regressor(), {"n_draws": [4]}, n_iter=1, cv=2, refit=False).fit(X, y)
    with pytest.raises(ValueError, match="RandomizedSearchCV has not refitted .* refit=True"):
        vb.predict_dist(search, X)
