"""What mattered in a fit: permutation, partial dependence and uncertain rows in run.json are those of naive loops."""

import json
import re

import numpy as np
import pyarrow as pa
import pytest
from invoked import invoke
from pyarrow import csv, parquet

import varbump as vb
from varbump.cli import fit_command
from varbump.cli.features import read_as
from varbump.cli.frame import Frame
from varbump.cli.mattered import SEED, add_permutation, dependence_of, dependences, mattering
from varbump.cli.run_content import check_content
from varbump.cli.run_file import read_run
from varbump.cli.tables import open_table
from varbump.core.random import generator


class Line:
    """A model of two targets whose coefficients are known."""

    weights = np.array([[2.0, 0.0], [0.0, 0.0], [0.5, 10.0]])

    def predict(self, X):
        return np.asarray(X) @ self.weights


def test_permutation_is_the_loss_of_r2():
    generator_of_rows = np.random.default_rng(0)
    x = generator_of_rows.normal(size=(300, 3))
    y = x @ Line.weights + generator_of_rows.normal(size=(300, 2))
    features = [{"name": name} for name in "abc"]
    add_permutation(Line(), features, x, y, seed=5)
    x, y = x[:200], y[:200]
    order = generator(5, SEED).permutation(200)
    before = [np.mean([(y[i, q] - (x @ Line.weights)[i, q]) ** 2 for i in range(200)]) for q in range(2)]
    for index, feature in enumerate(features):
        changed = x.copy()
        changed[:, index] = x[order, index]
        after = [np.mean([(y[i, q] - (changed @ Line.weights)[i, q]) ** 2 for i in range(200)]) for q in range(2)]
        lost = np.mean([(after[q] - before[q]) / np.var(y[:, q]) for q in range(2)])
        assert feature["permutation"] == pytest.approx(lost, rel=1e-5, abs=1e-12)
    assert features[1] == {"name": "b", "permutation": 0.0, "permutation_se": 0.0}
    assert 5 * features[0]["permutation_se"] < features[0]["permutation"] < features[2]["permutation"]


def test_permutation_takes_no_longer_for_many_columns():
    features = [{"name": str(index)} for index in range(600)]
    add_permutation(Line(), features, np.zeros((50, 600)), np.zeros((50, 1)), seed=0)
    assert all("permutation" not in feature for feature in features)


def test_numbers_of_a_list_are_on_one_line():
    info = {"a": [1.5, -2e-7, 3], "b": ["[\n 1,\n 2]", "x"], "c": [], "d": [[1], [2.0]], "e": [None, 1.0]}
    text = fit_command._as_text(info)
    assert json.loads(text) == info
    assert '"a": [1.5, -2e-07, 3]' in text


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of numbers, dates and categories, with empty cells and a prior without relevance."""
    folder = tmp_path_factory.mktemp("mattered")
    rng = np.random.default_rng(0)
    size, noise = rng.normal(size=(2, 80))
    colour = rng.choice(["red", "green", "blue"], 80)
    day = np.datetime64("2024-01-01") + rng.integers(0, 700, 80)
    y = 3.0 * size + 2.0 * (colour == "green") + 0.1 * rng.normal(size=80)
    size[::9] = np.nan
    columns = {"noise": noise, "size": pa.array(size, from_pandas=True), "day": day, "colour": colour, "y": y}
    csv.write_csv(pa.table(columns), folder / "data.csv")
    options = ["--likelihood", "normal", "--embedding", "none", "--hidden", "none", "--members", 2, "--prior", "normal"]
    shown = invoke("fit", folder / "data.csv", "-t", "y", "--out", folder / "run", *options)
    return folder, shown.stdout, read_run(folder / "run")


@pytest.mark.slow
def test_dependence_in_a_run(run):
    folder, _, the_run = run
    info, model = the_run.info, vb.load(folder / "run" / "model.varbump")
    assert "relevance" not in info["features"][0]
    by_permutation = sorted(info["features"], key=lambda feature: -feature["permutation"])
    assert [one["feature"] for one in info["dependence"]] == [feature["name"] for feature in by_permutation]
    assert info["dependence"][0]["feature"] == "size"
    held_out = open_table(folder / "run" / "held_out.csv").read(["noise"])
    x = read_as(open_table(folder / "data.csv"), the_run.kinds)
    x = x[~np.isin(x["noise"], held_out[:, 0])]  # the training rows, in another order
    predictive = model.predict_dist(x[:1]).predictive
    for one, found in zip(dependences(info), info["dependence"], strict=True):
        assert one.num_rows == len(x) == 64
        for row in range(0, len(one.values), 7):
            changed = Frame({**{name: x[name] for name in x.columns}, one.feature: np.full(64, one.values[row])})
            f = vb.predict_f(model, changed, num_draws=predictive.num_draws, seed=model._draw_seed).mean(axis=1)
            assert one.bands.mean[row, 0] == pytest.approx(f.mean(), abs=1e-4)
            assert one.bands.sd[row, 0] == pytest.approx(f.std(ddof=1), rel=1e-3)
            assert one.bands.lower[0.95][row, 0] == pytest.approx(np.quantile(f, 0.025), abs=1e-3)
        assert one.is_ordered == (one.feature != "colour") == bool(found["observed"])
    assert {one.values.dtype.kind for one in dependences(info)} == {"f", "O", "M"}


@pytest.mark.slow
def test_uncertain_rows_in_a_run(run):
    folder, stdout, the_run = run
    uncertain = the_run.info["uncertain"]
    table = open_table(folder / "data.csv")
    y, x = table.read(["y"]), read_as(table, the_run.kinds)
    model = vb.load(folder / "run" / "model.varbump")
    epistemic = np.concatenate([mixture.moments()[2] for _, mixture in model.predict_dist(x).blocks()])
    held_out = np.isin(x["noise"], open_table(folder / "run" / "held_out.csv").read(["noise"])[:, 0])
    order = sorted(np.flatnonzero(held_out), key=lambda row: -epistemic[row, 0])[:5]
    assert [row["row"] - table.first_row for row in uncertain["found"]] == order
    assert uncertain["numbered_in"] == "data.csv"
    assert uncertain["median_sd"][0] == pytest.approx(np.median(epistemic[held_out]), rel=1e-5)
    inputs = model.predict_dist(x).inputs
    for row in uncertain["found"]:
        own = row["row"] - table.first_row
        apart = np.sqrt(((inputs - inputs[own]) ** 2).sum(axis=1))  # this prior has learned no relevance
        closest = sorted(np.flatnonzero(~held_out), key=lambda other: apart[other])[:3]
        assert [near["row"] - table.first_row for near in row["nearest"]] == closest
        assert [near["distance"] for near in row["nearest"]] == pytest.approx(apart[closest], rel=1e-5)
        assert row["y"] == y[own].tolist()
        for other, cells in [(own, row["cells"]), *((n["row"] - 2, n["cells"]) for n in row["nearest"])]:
            assert cells[uncertain["columns"].index("colour")] == x["colour"][other]
            size = cells[uncertain["columns"].index("size")]
            assert (np.isnan(x["size"][other]) and size is None) or size == x["size"][other]
    assert "Of 16 held-out rows, those with the largest epistemic sd" in stdout
    assert len((folder / "run" / "run.json").read_bytes()) < 20_000


@pytest.mark.slow
def test_the_page_shows_them_without_the_data(run):
    folder, *_ = run
    (folder / "data.csv").rename(folder / "away.csv")
    invoke("report", folder / "run", "--quiet")
    (folder / "away.csv").rename(folder / "data.csv")
    text = (folder / "run" / "report.html").read_text()
    for words in ("Partial dependence on colour", "Permutation of the features", "Rows are numbered as in data.csv"):
        assert words in text
    (head,) = re.findall("<tr><th>row, its nearest</th>.*?</tr>", text)
    assert head.count("<th>") == 1 + 4 + 5  # the row, four columns, and what is said of it


@pytest.mark.slow
def test_constant_and_ignored_columns_have_no_curve():
    rng = np.random.default_rng(0)
    size, empty = rng.normal(size=40), np.full(40, None, dtype=object)
    x = Frame({"constant": np.full(40, 3.0), "size": size, "empty": empty})
    model = vb.VariationalRegressor((), likelihood="normal", embedding=None, n_members=1, random_state=0).fit(x, size)
    features = [{"name": name, "relevance": 1.0} for name in x.columns]
    assert mattering(model, features) == [0, 1]
    assert [one["feature"] for one in dependence_of(model, features, [0, 1], x)] == ["size"]


@pytest.mark.slow
def test_rows_of_several_files_are_numbered_in_held_out_rows(tmp_path):
    (tmp_path / "parts").mkdir()
    rng = np.random.default_rng(0)
    for part in range(5):
        a, b = rng.normal(size=(2, 20))
        parquet.write_table(pa.table({"a": a, "b": b, "y": a}), tmp_path / "parts" / f"{part}.parquet")
    options = ["--likelihood", "normal", "--embedding", "none", "--hidden", "none", "--members", 1, "--max-iter", 2]
    invoke("fit", tmp_path / "parts", "-t", "y", "--out", tmp_path / "run", *options)
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    check_content(info)
    held_out = open_table(tmp_path / "run" / "held_out.csv").read(["a", "y"])
    assert info["uncertain"]["numbered_in"] == "held_out.csv"
    for row in info["uncertain"]["found"]:
        assert row["cells"][info["uncertain"]["columns"].index("a")] == held_out[row["row"] - 2, 0]
        assert row["y"] == [held_out[row["row"] - 2, 1]]
        assert all("row" not in near for near in row["nearest"])
    invoke("report", tmp_path / "run", "--quiet")
