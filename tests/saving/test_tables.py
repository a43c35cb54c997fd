"""Regressors of tables with categories: what their archives say of columns is checked before it is used."""

import re

import numpy as np
import pandas as pd
import pytest
from small_regressor import small_regressor
from tampered import arrays_of, put, refused, tampered, with_arrays

import varbump as vb

COLUMNS = ("configuration", "table")

OPTIONS = {"hidden_layer_sizes": (), "n_members": 1, "max_iter": 1}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A number with gaps, a category, and dates."""
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "size": np.where(generator.random(40) < 0.2, np.nan, generator.normal(size=40)),
            "colour": generator.choice(["réd", "\U0001f600", "", "NaN"], 40),
            "code": generator.integers(0, 3, 40),
            "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(generator.integers(0, 900, 40), unit="D"),
        }
    )
    model = small_regressor(**OPTIONS, categorical_features=["code"]).fit(frame, generator.normal(size=40))
    path = tmp_path_factory.mktemp("table") / "model.varbump"
    vb.save(model, path)
    return path, model, frame


@pytest.mark.slow
def test_levels_of_any_kind_come_back(saved):
    path, model, frame = saved
    loaded = vb.load(path)
    assert loaded.encoder_.source == model.encoder_.source
    assert loaded.encoder_.columns == model.encoder_.columns
    assert set(loaded.encoder_.source[1].levels) == {"réd", "\U0001f600", "", "NaN"}
    assert loaded.encoder_.source[2].levels == (0, 1, 2)
    np.testing.assert_array_equal(loaded.predict(frame), model.predict(frame))
    assert loaded.get_params()["categorical_features"] == ["code"]


CHANGES = {
    "no columns": (put(*COLUMNS, []), "does not say which columns"),
    "columns that are none": (put(*COLUMNS, ["size"]), "must not be size"),
    "another field": (put(*COLUMNS, 0, "dtype", "object"), "must not be"),
    "an unknown kind": (put(*COLUMNS, 0, "kind", "picture"), "must not be"),
    "more inputs": (put(*COLUMNS, 0, "has_missing", 1), "whether it has missing cells"),
    "an indicator of nothing": (put(*COLUMNS, 3, "has_indicator", True), "whether it has missing cells"),
    "a level more": (put(*COLUMNS, 2, "levels", [0, 1, 2, 3]), "inputs, but its network takes"),
    "two levels fewer that are shown": (put(*COLUMNS, 2, "shown", [0]), "inputs, but its network takes"),
    "levels twice": (put(*COLUMNS, 2, "levels", [0, 1, 1]), "different words"),
    "levels that are lists": (put(*COLUMNS, 2, "levels", [0, 1, [2]]), "different words"),
    "levels of a number": (put(*COLUMNS, 0, "levels", [0]), "not those of a number"),
    "levels that are not shown": (put(*COLUMNS, 2, "shown", []), "not those of a category"),
    "levels that are not there": (put(*COLUMNS, 2, "shown", [0, 1, 3]), "not those of a category"),
    "another order": (put(*COLUMNS, 2, "shown", [2, 1, 0]), "not those of a category"),
    "a cycle of the moon": (put(*COLUMNS, 3, "parts", ["month"]), "cannot have the parts"),
    "a cycle less": (put(*COLUMNS, 3, "parts", ["year"]), "inputs, but its network takes"),
    "a name that is none": (put(*COLUMNS, 0, "name", None), "must not be"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_columns_that_were_changed(saved, tmp_path, case):
    change, message = CHANGES[case]
    path = tampered(saved[0], tmp_path / "model.varbump", change)
    assert re.search(message, found := refused(path)), found


def test_numbers_that_were_changed(saved, tmp_path):
    arrays, path = arrays_of(saved[0]), tmp_path / "model.varbump"
    for name, value, message in (
        ("scale", -arrays["table/scale"], "positive scales"),
        ("low", arrays["table/high"] + 1.0, "ranges from low to high"),
        ("covariance", -arrays["table/covariance"], "is no covariance"),
        ("shift", arrays["table/shift"][1:], "table/shift should have shape"),
        ("mean", arrays["table/mean"] * np.nan, "nan or infinite"),
    ):
        assert message in refused(with_arrays(saved[0], path, {**arrays, f"table/{name}": value}))


@pytest.mark.slow
def test_tables_of_many_columns(tmp_path):
    """So many that correlations are not estimated, or only those of numbers."""
    generator = np.random.default_rng(0)
    numbers = pd.DataFrame(generator.normal(size=(280, 130)), columns=[f"c{index}" for index in range(130)])
    levels = pd.DataFrame({"a": numbers["c0"], "b": numbers["c1"], "k": np.repeat(np.arange(140), 2).astype(str)})
    for frame, joined in ((numbers, 0), (levels, 2)):
        frame.iloc[3, 0] = np.nan
        model = small_regressor(**OPTIONS).fit(frame, generator.normal(size=280))
        assert len(model.encoder_.joint.joined) == joined
        vb.save(model, tmp_path / "model.varbump")
        np.testing.assert_array_equal(vb.load(tmp_path / "model.varbump").predict(frame), model.predict(frame))


@pytest.mark.slow
def test_files_of_earlier_versions_have_numbers_only(fitted, tmp_path):
    vb.save(fitted, tmp_path / "new.varbump")
    arrays = {k: v for k, v in arrays_of(tmp_path / "new.varbump").items() if not k.startswith("table/")}

    def earlier(header):
        del header["configuration"]["table"]
        del header["configuration"]["parameters"]["categorical_features"]

    old = vb.load(with_arrays(tmp_path / "new.varbump", tmp_path / "old.varbump", arrays, earlier))
    frame = pd.DataFrame({"width": [0.0, 1.0], "height": [2.0, 3.0]})
    np.testing.assert_array_equal(old.predict(frame), fitted.predict(frame))
    with pytest.warns(UserWarning, match="missing cells"):
        assert np.isfinite(old.predict(frame.assign(width=np.nan))).all()
