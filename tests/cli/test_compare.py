"""Cross-validation from the command line: its scores against a loop, and what it refuses."""

import json

import numpy as np
import pyarrow as pa
import pytest
from invoked import invoke
from pyarrow import csv
from scipy import stats
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import BayesianRidge
from sklearn.model_selection import KFold

from varbump.cli.comparing import table_of

SMALL = ("--max-iter", 2, "--members", 1, "--hidden", "none", "--likelihood", "normal", "--embedding", "none")


@pytest.fixture
def table(tmp_path):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(60, 2)) * [1.0, 5.0]
    y = x @ [1.0, 0.2] + 0.3 * generator.normal(size=60)
    csv.write_csv(pa.table({"a": x[:, 0], "b": x[:, 1], "y": y}), tmp_path / "data.csv")
    return tmp_path / "data.csv", x, y


def test_what_is_shown():
    scores = {"rmse": 1.0, "log_likelihood": -1.0, "crps": 0.5, "coverage_95": 0.96, "seconds": 2.0}
    ours, line = {**scores, "less": [0.0, 0.0]}, {**scores, "log_likelihood": -0.75, "less": [0.25, 0.1]}
    table, words = table_of({"rows": 30, "folds": 3, "scores": {"varbump": ours, "line": line}})
    assert list(table.columns[3].cells) == ["", "0.250 ± 0.100"]
    assert list(table.columns[5].cells) == ["96.0 %"] * 2
    assert "line is ahead" in words


def test_too_few_rows_for_the_folds(table):
    shown = invoke("compare", table[0], "-t", "y", "--folds", 100, code=1)
    assert shown.stderr == "varbump: 60 rows are too few for --folds 100: each must leave 10 to learn from\n"
    shown = invoke("compare", table[0], "-t", "nothing", code=1)
    assert "no column 'nothing' (--target)" in shown.stderr


@pytest.mark.slow
def test_scores_are_those_of_a_loop(table):
    file, x, y = table
    result = json.loads(invoke("compare", file, "-t", "y", "--folds", 3, *SMALL, "--json").stdout)
    assert (result["rows"], result["folds"]) == (60, 3)
    assert set(result["scores"]) == {"varbump", "line", "forest", "boosting"}
    density, errors = {"line": [], "forest": []}, {"line": [], "forest": []}
    for train, test in KFold(3, shuffle=True, random_state=0).split(x):
        z, z_test = ((x[rows] - x[train].mean(0)) / x[train].std(0) for rows in (train, test))
        line = BayesianRidge().fit(z, y[train])
        forest = RandomForestRegressor(200, oob_score=True, random_state=0).fit(z, y[train])
        sd = np.sqrt(np.mean((y[train] - forest.oob_prediction_) ** 2))
        for name, (mean, scale) in {
            "line": line.predict(z_test, return_std=True),
            "forest": (forest.predict(z_test), sd),
        }.items():
            density[name].extend(stats.norm.logpdf(y[test], mean, scale))
            errors[name].append(np.sqrt(np.mean((y[test] - mean) ** 2)))
    for name in density:
        found = result["scores"][name]
        assert found["log_likelihood"] == pytest.approx(np.mean(density[name]), rel=1e-6)
        assert found["rmse"] == pytest.approx(np.mean(errors[name]), rel=1e-6)
    less = result["scores"]["line"]["log_likelihood"] - result["scores"]["varbump"]["log_likelihood"]
    assert result["scores"]["line"]["less"][0] == pytest.approx(less, abs=1e-6)
    shown = invoke("compare", file, "-t", "y", "--folds", 2, *SMALL).stdout
    assert "60 rows, each predicted by models that have not seen it" in shown
    assert "is ahead" in shown
