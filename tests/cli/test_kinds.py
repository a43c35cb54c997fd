"""Tables of numbers, dates and categories, with empty cells: read by content, fitted, predicted and reported."""

import datetime
import json

import numpy as np
import pyarrow as pa
import pytest
from invoked import invoke
from pyarrow import parquet

import varbump as vb
from varbump.cli.errors import UserError
from varbump.cli.features import Declared, read_as, read_features
from varbump.cli.frame import Frame, rows_of
from varbump.cli.summaries import describe_features, kinds_of, rows_along
from varbump.cli.tables import open_table

HEADER = "size,colour,day,code"
ROWS = ["1.5,red,2024-01-01,1", ", blue ,2024-01-02 12:00,2", "3,n/a,,1", "4,red,2024-01-03T06:30:15,2"]


def written(folder, rows=ROWS):
    path = folder / "data.csv"
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return open_table(path)


def test_columns_are_read_by_content(tmp_path):
    read = read_features(written(tmp_path), HEADER.split(","), Declared())
    np.testing.assert_array_equal(read["size"], [1.5, np.nan, 3.0, 4.0])
    assert list(read["colour"]) == ["red", "blue", None, "red"]
    days = ["2024-01-01", "2024-01-02T12:00", "NaT", "2024-01-03T06:30:15"]
    np.testing.assert_array_equal(read["day"], np.array(days, "datetime64[us]"))
    np.testing.assert_array_equal(read["code"], [1, 2, 1, 2])
    assert list(read_features(written(tmp_path), ["code"], Declared(["code"]))["code"]) == ["1", "2", "1", "2"]


def test_all_of_a_column_is_what_most_of_it_is(tmp_path):
    table = written(tmp_path, [*ROWS, "five,red,2024-01-01,1"])
    with pytest.raises(UserError, match="row 6, column 'size': 'five' is not a number"):
        read_features(table, ["size"], Declared())
    table = written(tmp_path, [*ROWS, "5,red,soon,1"])
    with pytest.raises(UserError, match="row 6, column 'day': soon is not a date such as"):
        read_features(table, ["day"], Declared())


@pytest.mark.parametrize("ending", ["Z", "+00:00"])
def test_dates_may_have_a_zone(tmp_path, ending):
    table = written(tmp_path, [f"1,red,2024-01-01T06:00:00{ending},1"] * 3)
    assert read_features(table, ["day"], Declared())["day"][0] == np.datetime64("2024-01-01T06:00")


def test_columns_of_parquet_are_read_by_type(tmp_path):
    columns = {
        "day": pa.array([datetime.date(2024, 1, 1), None]),
        "time": pa.array([datetime.datetime(2024, 1, 1, 6), None], pa.timestamp("ns", "Europe/Vienna")),
        "word": pa.array(["a", None]).dictionary_encode(),
        "flag": pa.array([True, None]),
    }
    parquet.write_table(pa.table(columns), tmp_path / "data.parquet")
    read = read_features(open_table(tmp_path / "data.parquet"), list(columns), Declared())
    assert read["day"][0] == np.datetime64("2024-01-01")
    assert read["time"][0] == np.datetime64("2024-01-01T06:00")
    assert np.isnat([read["day"][1], read["time"][1]]).all()
    assert list(read["word"]) == ["a", None]
    np.testing.assert_array_equal(read["flag"], [1.0, np.nan])


def test_frames_are_written_and_read_again(tmp_path):
    read = read_features(written(tmp_path), HEADER.split(","), Declared())
    frame = rows_of(read)
    kinds = kinds_of(describe_features(frame.columns, frame))
    assert kinds == {"size": "number", "colour": "category", "day": "date", "code": "number"}
    again = read_as(written(tmp_path, [",".join(map(str, row)) for row in frame.texts()]), kinds)
    for name in frame.columns:
        np.testing.assert_array_equal(again[name], frame[name])
    assert isinstance(frame[np.array([True, False, False, True])], Frame)
    assert frame[2:].shape == (2, 4)


def test_typical_rows(tmp_path):
    frame = rows_of(read_features(written(tmp_path), HEADER.split(","), Declared()))
    features = describe_features(frame.columns, frame)
    grid, rows = rows_along(features, 0, 3)
    np.testing.assert_array_equal(grid, [1.5, 2.75, 4.0])
    np.testing.assert_array_equal(rows["size"], grid)
    assert list(rows["colour"]) == ["red"] * 3
    assert (rows["day"] == np.datetime64("2024-01-02T12:00")).all()
    assert (features[1]["num_levels"], features[1]["empty"], features[0]["empty"]) == (2, 1, 1)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a table with a category, dates, a code, an identifier and empty cells."""
    folder = tmp_path_factory.mktemp("kinds")
    generator = np.random.default_rng(0)
    effects = {"red": 3.0, "green": -3.0, "blue": 0.0}
    lines = ["size,colour,day,code,id,y"]
    for index in range(120):
        size, colour = generator.normal(), generator.choice(list(effects))
        day = np.datetime64("2022-01-01") + int(generator.integers(0, 900))
        y = size + effects[colour] + 0.3 * generator.normal()
        cells = ["" if index % 7 == 0 else f"{size}", "" if index % 11 == 0 else colour, day, index % 3, f"row {index}"]
        lines.append(",".join(map(str, [*cells, y])))
    (folder / "data.csv").write_text("\n".join(lines))
    arguments = ["--max-iter", 5, "--members", 1, "--hidden", "none", "--categorical", "code", "--json"]
    arguments += ["--likelihood", "normal", "--embedding", "none"]
    shown = invoke("fit", folder / "data.csv", "-t", "y", "--out", folder / "run", *arguments)
    return folder, json.loads(shown.stdout)


@pytest.mark.slow
def test_a_run_says_what_its_columns_are(run):
    folder, info = run
    kinds = {feature["name"]: feature.get("kind", "number") for feature in info["features"]}
    assert kinds == {"size": "number", "colour": "category", "day": "date", "code": "category", "id": "category"}
    relevance = {feature["name"]: feature["relevance"] for feature in info["features"]}
    assert relevance["id"] == 0.0
    assert relevance["colour"] > 0.0
    model = vb.load(folder / "run" / "model.varbump")
    assert [column.kind for column in model.encoder_.source] == ["number", "category", "date", "category", "ignored"]


@pytest.mark.slow
def test_predictions_count_unseen_categories(run):
    folder, _ = run
    new = ["size,colour,day,code,id", "1,red,2024-01-01,1,x", ",pink,2024-01-01,1,", ",,2024-01-01,7,"]
    (folder / "new.csv").write_text("\n".join(new))
    result = invoke("predict", folder / "run", folder / "new.csv", "--out", folder / "p.csv")
    assert "2 cells hold categories that the fit has not seen" in result.stdout
    values = open_table(folder / "p.csv").read(["mean", "sd"])
    assert np.isfinite(values).all()
    assert "unseen" not in invoke("predict", folder / "run", folder / "data.csv", "--out", folder / "q.csv").stdout
    (folder / "holes.csv").write_text("\n".join([new[0], "1,red,,1,x"]))
    result = invoke("predict", folder / "run", folder / "holes.csv", "--out", folder / "r.csv", code=1)
    assert "row 2, column 'day': the cell is infinite, or empty in a column that had no empty cell" in result.stderr
    (folder / "holes.csv").write_text("\n".join([new[0], "large,red,2024-01-01,1,x"]))
    result = invoke("predict", folder / "run", folder / "holes.csv", "--out", folder / "r.csv", code=1)
    assert "row 2, column 'size': 'large' is not a number" in result.stderr


@pytest.mark.slow
def test_the_page_has_all_kinds(run):
    folder, _ = run
    invoke("report", folder / "run")
    text = (folder / "run" / "report.html").read_text()
    for words in ("most frequent", "2022-01", "Along size", "colour"):
        assert words in text
    assert "Along colour" not in text
