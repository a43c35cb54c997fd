"""A regressor on a source: its table handling, scales of all rows, and what is refused."""

import numpy as np
import pandas as pd
import pytest

import varbump as vb

SETTINGS = {"hidden_layer_sizes": (6,), "n_members": 2, "random_state": 0}


def table(num=3_000):
    rng = np.random.default_rng(0)
    a, b = rng.normal(5.0, 2.0, num), 1e6 + rng.normal(size=num)
    city = rng.choice(["x", "yy", "z"], num)
    y = 10.0 * np.sin(a) + 5.0 * (city == "yy") + 0.5 * rng.normal(size=num)
    b[rng.uniform(size=num) < 0.1] = np.nan
    return pd.DataFrame({"a": a, "city": city, "b": b, "y": y})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path, frame = tmp_path_factory.mktemp("rows"), table()
    for part in range(3):
        frame.iloc[1_000 * part : 1_000 * (part + 1)].to_parquet(path / f"{part}.parquet", row_group_size=500)
    return path


@pytest.fixture(scope="module")
def fitted(folder):
    source = vb.sources.ParquetSource(folder, "y", block_rows=1_500, pool_rows=2_000)
    return vb.VariationalRegressor(**SETTINGS, max_iter=25).fit(source)


@pytest.mark.slow
def test_it_learns_from_categories_and_missing_cells(fitted):
    frame = table()
    X = frame.drop(columns="y")
    residual = frame["y"] - fitted.predict(X)
    assert residual.std() < 0.5 * frame["y"].std()
    assert fitted.predict(X).shape == (3_000,)
    assert list(fitted.feature_names_in_) == ["a", "city", "b"]
    assert fitted.stacking_ is None
    assert fitted.history_.num_data == 3_000


def test_scales_are_those_of_all_rows(fitted):
    frame = table()
    assert fitted.y_scaler_.mean_[0] == pytest.approx(frame["y"].mean(), rel=1e-9)
    assert fitted.y_scaler_.scale_[0] == pytest.approx(frame["y"].std(ddof=0), rel=1e-9)
    names = list(fitted.get_feature_names_out())
    assert fitted.x_scaler_.mean_[names.index("a")] == pytest.approx(frame["a"].mean(), rel=1e-9)
    assert fitted.x_scaler_.scale_[names.index("city_yy")] == 1.0


@pytest.mark.slow
def test_it_is_saved_and_predicts_folders_and_partitions(fitted, folder, tmp_path):
    frame = table()
    X, path = frame.drop(columns="y"), tmp_path / "model.varbump"
    vb.save(fitted, path)
    written = vb.predict_to(fitted, vb.sources.ParquetSource(folder, features=["a", "city", "b"]), tmp_path / "out")
    found = pd.read_parquet(written)
    mean, sd = fitted.predict(X, return_std=True)
    np.testing.assert_allclose(found["mean"], mean, rtol=1e-5)
    np.testing.assert_allclose(found["sd"], sd, rtol=1e-5)
    part = frame.iloc[100:130]
    of_part = vb.predict_partition(part, path)
    np.testing.assert_allclose(of_part["mean"], mean[100:130], rtol=1e-5)
    assert list(of_part.index) == list(range(100, 130))
    (again,) = vb.predict_partition(iter([part]), path)
    pd.testing.assert_frame_equal(of_part, again)
    none = vb.predict_partition(part.iloc[:0], path)
    assert list(none.columns) == list(of_part.columns)
    assert len(none) == 0


@pytest.mark.slow
def test_arrays_have_the_same_scales_and_no_names():
    frame = table(70_000)[["a", "y"]]
    values = frame[["a"]].to_numpy().copy()
    missing = np.random.default_rng(1).permutation(70_000)[0]  # in the sample or not: it is filled
    values[missing] = np.nan
    source = vb.sources.ArraySource(values, frame["y"].to_numpy())
    model = vb.VariationalRegressor(**SETTINGS, max_iter=1).fit(source)
    assert model.x_scaler_.scale_[0] == pytest.approx(frame["a"].std(ddof=0), rel=1e-4)
    assert not hasattr(model, "feature_names_in_")
    assert model.predict(frame[["a"]].to_numpy()[:500]).shape == (500,)


def test_what_needs_all_rows_at_once_is_refused(folder):
    source = vb.sources.ParquetSource(folder, "y")
    for options, sentence in (
        ({"early_stopping": True}, "early_stopping cannot be used with a source"),
        ({"embedding": "forest"}, "embedding must be 'auto' or None with a source"),
    ):
        with pytest.raises(ValueError, match=sentence):
            vb.VariationalRegressor(**SETTINGS, **options).fit(source)
    with pytest.raises(ValueError, match="y and sample_weight must be left out"):
        vb.VariationalRegressor(**SETTINGS).fit(source, np.zeros(3_000))
    with pytest.raises(ValueError, match="column 'city' holds .*string, no numbers; leave it out of features"):
        vb.fit(vb.build_network(3), vb.likelihoods.Normal(), source)


def test_a_missing_target_is_named(tmp_path):
    frame = table(400)
    frame.loc[333, "y"] = np.nan
    frame.to_parquet(tmp_path / "a.parquet", row_group_size=100)
    with pytest.raises(ValueError, match="y"):
        vb.VariationalRegressor(**SETTINGS, max_iter=1).fit(vb.sources.ParquetSource(tmp_path, "y"))
