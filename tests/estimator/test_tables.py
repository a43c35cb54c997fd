"""The regressor on tables as they are: categories, dates, missing cells."""

import pickle

import numpy as np
import pandas as pd
import pytest

import varbump as vb

ALONE = {"likelihood": "normal", "embedding": None}
TINY = {**ALONE, "hidden_layer_sizes": (), "n_members": 1, "max_iter": 1, "n_draws": 10, "random_state": 0}

EFFECTS = {"red": 2.0, "green": -2.0, "blue": 1.0, "white": -1.0}


def table(num_rows=200, seed=0):
    """Columns of every kind, some of them with missing cells; y depends on `colour` and `size`."""
    generator = np.random.default_rng(seed)

    def some(values):
        return generator.choice(np.array(values, dtype=object), num_rows)

    hours = pd.to_timedelta(generator.integers(0, 20_000, num_rows), unit="h")
    frame = pd.DataFrame(
        {
            "size": generator.normal(size=num_rows),
            "colour": some(list(EFFECTS)),
            "grade": pd.Categorical(some(["x", "y", None])),
            "word": pd.array(some(["u", "v", None]), dtype="string"),
            "flag": generator.random(num_rows) < 0.5,
            "maybe": pd.array(some([True, False, None]), dtype="boolean"),
            "count": pd.array(some([0, 1, 2, None]), dtype="Int64"),
            "share": pd.array(some([0.5, 1.5, None]), dtype="Float64"),
            "day": pd.Timestamp("2020-01-01") + hours,
            "zoned": pd.Timestamp("2020-01-01", tz="Europe/Vienna") + hours,
            "lasted": hours,
        }
    )
    frame.loc[3, ["size", "day", "lasted"]] = None
    y = frame["size"].fillna(0.0).to_numpy() + frame["colour"].map(EFFECTS).to_numpy(float)
    return frame, y + 0.2 * generator.normal(size=num_rows)


@pytest.fixture(scope="module")
def tiny():
    frame, y = table()
    return frame, y, vb.VariationalRegressor(**TINY).fit(frame, y)


def test_every_kind_of_column_is_taken(tiny):
    frame, _, model = tiny
    mean, std = model.predict(frame, return_std=True)
    assert np.isfinite([mean, std]).all()
    assert model.n_features_in_ == len(frame.columns) == len(model.parameter_report_.relevance)
    names = list(model.get_feature_names_out())
    assert len(names) == model.network_.input_shape[1]
    for name in ("size", "colour_red", "colour_unseen", "grade_missing", "day_week_sin", "zoned_day_cos", "lasted"):
        assert name in names
    text = str(model.parameter_report_)
    assert all(name in text for name in frame.columns)
    assert "unseen" not in text


def test_columns_are_found_by_name_or_refused(tiny):
    frame, _, model = tiny
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[frame.columns[::-1]])
    with pytest.raises(ValueError, match="column 'size' held numbers in the fit, but text such as 'large' here"):
        model.predict(frame.assign(size="large"))
    with pytest.raises(ValueError, match="Input X contains infinity"):
        model.predict(frame.assign(size=np.inf))


def test_copies_say_the_same(tiny, tmp_path):
    frame, y, model = tiny
    vb.save(model, tmp_path / "model.varbump")
    loaded = vb.load(tmp_path / "model.varbump")
    new = frame.iloc[:5].assign(colour=["pink", None, "red", "red", "blue"], size=[np.nan, 1.0, 2.0, 3.0, 4.0])
    for copy in (loaded, pickle.loads(pickle.dumps(model))):
        for rows in (frame, new):
            np.testing.assert_array_equal(copy.predict(rows, return_std=True), model.predict(rows, return_std=True))
        assert str(copy.parameter_report_) == str(model.parameter_report_)
        assert list(copy.get_feature_names_out()) == list(model.get_feature_names_out())
        assert list(copy.feature_names_in_) == list(frame.columns)
    vb.save(loaded, tmp_path / "again.varbump")
    assert (tmp_path / "again.varbump").read_bytes() == (tmp_path / "model.varbump").read_bytes()


def test_a_row_does_not_depend_on_its_company(tiny):
    frame, _, model = tiny
    whole = model.predict(frame)
    np.testing.assert_array_equal(model.predict(frame.iloc[3:4]), whole[3:4])
    np.testing.assert_array_equal(model.predict(frame.iloc[::-1]), whole[::-1])


def test_predictions_of_other_calls_take_tables_too(tiny):
    frame, y, model = tiny
    assert vb.predict_f(model, frame, num_draws=3).shape == (3, len(frame), 1)
    assert vb.predict_dist(model, frame).mean().shape == y.shape
    assert np.isfinite(vb.evaluate(model, frame, y).log_likelihood)


@pytest.mark.slow
def test_a_fit_is_a_function_of_the_weighted_set():
    frame, y = table(60)
    counts = np.arange(1, 61) % 3
    expected = vb.VariationalRegressor(**TINY).fit(frame, y, sample_weight=counts).predict(frame)
    order = np.random.default_rng(0).permutation(counts.sum())
    rows = np.repeat(np.arange(60), counts)[order]
    again = vb.VariationalRegressor(**TINY).fit(frame.iloc[rows], y[rows])
    np.testing.assert_array_equal(again.predict(frame), expected)


@pytest.mark.slow
@pytest.mark.parametrize("prior", ["ard", "normal", "trainable", vb.priors.ARDNormal()])
def test_unseen_levels_get_the_mean_of_levels_and_a_wider_band(prior):
    frame, y = table(400)
    frame = frame[["size", "colour"]]
    model = vb.VariationalRegressor((50,), **ALONE, n_members=2, max_iter=300, prior=prior, random_state=0).fit(
        frame, y
    )
    rows = pd.DataFrame({"size": 0.0, "colour": [*EFFECTS, "black", None]})
    sds = np.diff(model.predict_interval(rows, coverage=0.68, kind="epistemic"))[:, 0] / 2.0
    mean = model.predict(rows)
    np.testing.assert_allclose(mean[:4], list(EFFECTS.values()), atol=0.3)
    assert mean[4] == mean[5]  # nothing was ever missing
    # the sd of the effects is 1.6; the band is of that order
    assert 3.0 * sds[:4].max() < sds[4]
    assert 0.4 < sds[4] < 6.0
    # the mean of 400 draws with an sd of about 2, in two members that centre on different functions
    assert abs(mean[4] - mean[:4].mean()) < 0.6
    assert model.parameter_report_.relevance is None or len(model.parameter_report_.relevance) == 2


@pytest.mark.slow
def test_a_scale_that_depends_on_x_is_told_of_missing_cells():
    frame, y = table(60)
    for likelihood, told in (("normal", False), ("heteroscedastic", True)):
        model = vb.VariationalRegressor(**{**TINY, "likelihood": likelihood}).fit(frame[["size", "colour"]], y)
        assert ("size_missing" in model.get_feature_names_out()) == told


@pytest.mark.slow
def test_numbers_in_a_frame_are_those_of_an_array():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(50, 2))
    frame = pd.DataFrame({"a": pd.array(X[:, 0], dtype="Float64"), "b": X[:, 1]})
    expected = vb.VariationalRegressor(**TINY).fit(X, X[:, 0]).predict(X)
    np.testing.assert_array_equal(vb.VariationalRegressor(**TINY).fit(frame, X[:, 0]).predict(frame), expected)


@pytest.mark.slow
def test_categories_in_arrays_are_declared():
    frame, y = table(60)
    objects = frame[["size", "colour"]].fillna(0.0).to_numpy(object)
    model = vb.VariationalRegressor(**TINY, categorical_features=[1]).fit(objects, y)
    assert list(model.get_feature_names_out())[:2] == ["x0", "x1_blue"]
    assert np.isfinite(model.predict(objects.tolist())).all()
    codes = np.stack([objects[:, 0].astype(float), np.arange(60) % 3], axis=1)
    of_codes = vb.VariationalRegressor(**TINY, categorical_features=[False, True]).fit(codes, y)
    assert list(of_codes.get_feature_names_out()) == ["x0", "x1_0", "x1_1", "x1_2", "x1_unseen"]
    with pytest.raises(
        ValueError, match="X must hold numbers, but column 1 has .*; pass a data frame.* categorical_features"
    ):
        vb.VariationalRegressor(**TINY).fit(objects, y)


@pytest.mark.slow
def test_expected_values_beat_means_where_columns_are_correlated():
    """A fifth of the cells of columns with correlation 0.95 are gone; the noise of filled cells is far smaller."""
    generator = np.random.default_rng(0)
    X = 0.97 * generator.normal(size=(400, 1)) + 0.22 * generator.normal(size=(400, 3))
    y = X.sum(axis=1) + 0.1 * generator.normal(size=400)
    gone = np.where(generator.random(X.shape) < 0.2, np.nan, X)
    filled = np.where(np.isnan(gone), np.nanmean(gone[:300], axis=0), gone)
    options = {**ALONE, "hidden_layer_sizes": (50,), "n_members": 1, "max_iter": 300, "random_state": 0}
    ours, other = (
        vb.VariationalRegressor(**options).fit(each[:300], y[:300]).log_predictive_density(each[300:], y[300:]).mean()
        for each in (gone, filled)
    )
    assert ours > other + 0.3


@pytest.mark.slow
def test_a_pool_takes_tables(tiny):
    frame, y, _ = tiny
    model = vb.VariationalRegressor(max_iter=2, n_members=2, n_draws=20, random_state=0).fit(frame, y)
    report = model.parameter_report_
    names = [*frame.columns, "forest, mean of y0", "forest, spread of y0"]
    assert list(report.input_names) == names
    assert report.relevance.shape == (len(names),)
    assert "size_missing" in model.get_feature_names_out()
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(model.predict(frame), again.predict(frame))
