"""run.json after an edit: it is read and shown, or refused in one sentence that says where."""

import json

import numpy as np
import pytest
from edited_json import edited
from hypothesis import HealthCheck, given, settings

from varbump.cli import reporting
from varbump.cli.errors import UserError
from varbump.cli.frame import Frame
from varbump.cli.mattered import dependences
from varbump.cli.run_file import read_run
from varbump.cli.summaries import describe, describe_features

SCORES = {"rmse": 0.5, "log_likelihood": -1.0, "crps": 0.3, "coverage_95": 0.9}

TABLE = np.random.default_rng(0).normal(size=(20, 3))

FRAME = Frame(
    {
        "a": TABLE[:, 0],
        "b": TABLE[:, 1],
        "kind": np.array([None, *["red", "blue"] * 9, "blue"], dtype=object),
        "day": np.arange("2024-01-01", "2024-01-21", dtype="datetime64[D]").astype("datetime64[us]"),
    }
)

CURVE = {
    "mean": [0.0, 1.0], "sd": [0.1, 0.1], "lower_95": [-0.2, 0.8], "lower_50": [-0.1, 0.9], "upper_50": [0.1, 1.1],
    "upper_95": [0.2, 1.2],
}  # fmt: skip

DEPENDENCE = [
    {"feature": "b", "rows": 16, "values": [-1.5, 2.0], "observed": [-1.0, 0.0], "targets": [CURVE]},
    {"feature": "kind", "rows": 16, "values": ["red", "blue"], "observed": [], "targets": [CURVE]},
    {"feature": "day", "rows": 16, "values": ["2024-01-01T00:00:00", "2024-01-02T12:00:00"],
     "observed": ["2024-01-02T00:00:00"], "targets": [CURVE]},
]  # fmt: skip

UNCERTAIN = {
    "numbered_in": "data.csv",
    "rows": 4,
    "among": 16,
    "median_sd": [0.1],
    "typical_distance": 0.2,
    "columns": ["b", "kind", "day"],
    "found": [
        {
            "row": 7,
            "cells": [0.5, None, "2024-01-02T00:00:00"],
            "y": [1.0],
            "mean": [1.5],
            "epistemic_sd": [0.3],
            "sd": [0.5],
            "relative_sd": 3.0,
            "nearest": [{"row": 3, "cells": [0.25, "red", None], "y": [0.5], "distance": 0.75}],
        }
    ],
}

PERMUTATION = {"relevance": 0.5, "permutation": -0.01, "permutation_se": 0.02}

INFO = {
    "format": 1,
    "varbump": "0.1.0",
    "versions": {"varbump": "0.1.0", "python": "3.11.2"},
    "created": "2024-02-29T12:00:00+00:00",
    "seed": 0,
    "rows": {"train": 16, "held_out": 4, "scored": 4},
    "features": [{**column, **PERMUTATION} for column in describe_features(FRAME.columns, FRAME)],
    "targets": [describe("y", TABLE[:, 2])],
    "noise_sd": [0.5],
    "parameters": {"weights": 10, "trainable": 20, "effective": 3.5, "kl": None, "judgement": "Fine."},
    "training": {"epochs": 5, "loss": 1.5},
    "scores": {"varbump": SCORES, "constant": SCORES},
    "calibration": {"calibrated": True, "judgement": "Fine."},
    "data": {"file": "data.csv", "rows": 20, "dropped": 0, "columns": ["a", "b", "y"], "sha256": "0" * 64},
    "arguments": {"targets": ["y"], "hidden": [50], "max_iter": None, "test_size": 0.2, "drop_missing": False},
    "seconds": 1.5,
    "dependence": DEPENDENCE,
    "uncertain": UNCERTAIN,
}


def words_of(run):
    """All of the page that does not need the model."""
    info, order = run.info, list(range(len(run.features)))[::-1]
    parts = [reporting._summary(run), reporting._scores(info), reporting._relevance(info, order)]
    parts += [reporting._permutation(info), reporting._uncertain(info)]
    dependences(info)
    parts += [reporting._training(info), reporting._parameters(info), reporting._columns(info, order)]
    "".join([*parts, reporting._provenance(info)]).encode()


def one_sentence(message, folder):
    assert message.startswith(f"{folder / 'run.json'} is ")
    assert "\n" not in message
    assert len(message) < 500 + len(str(folder))


def read(folder, content):
    (folder / "run.json").write_bytes(content)
    return read_run(folder)


def test_what_fit_writes(tmp_path):
    words_of(read(tmp_path, json.dumps(INFO).encode()))


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(edited(INFO))
def test_edits(tmp_path, content):
    try:
        run = read(tmp_path, content)
    except UserError as error:
        one_sentence(str(error), tmp_path)
    else:
        words_of(run)


PUT = {
    ("features", 1, "median"): (None, "features[1].median must be a number, got None"),
    ("features", 0, "min"): (5.0, "features[0] must have min <= lower_quartile"),
    ("features", 0, "relevance"): (-1, "features[0].relevance must be a number of at least 0, got -1"),
    ("features", 0, "name"): ("y", "more than one column 'y'"),
    ("features", 2, "kind"): ("picture", "features[2].kind must be number, category or date, got 'picture'"),
    ("features", 2, "num_levels"): (-1, "features[2].num_levels must be a whole number"),
    ("features", 3, "median"): ("today", "features[3].median must be a date, got 'today'"),
    ("targets",): ([], "targets is empty"),
    ("rows", "train"): (1.5, "rows.train must be a whole number"),
    ("scores", "varbump"): ({}, "scores.varbump.rmse is missing"),
    ("parameters", "weights"): (10**30, "parameters.weights must be a whole number"),
    ("noise_sd",): ([], "noise_sd must have one number for each target"),
    ("seconds",): (10**400, "seconds must be a number"),
    ("data", "file"): ("\ud800", "data.file must be text"),
    ("features", 0, "permutation"): ("much", "features[0].permutation must be a number, got 'much'"),
    ("features", 0, "permutation_se"): (-1, "features[0].permutation_se must be a number of at least 0, got -1"),
    ("dependence", 0, "feature"): ("c", "dependence[0].feature must be a feature, got 'c'"),
    ("dependence", 0, "values"): ([2.0, -1.5], "dependence[0].values must increase"),
    ("dependence", 0, "values", 0): ("red", "dependence[0].values must hold numbers, got 'red'"),
    ("dependence", 0, "observed", 0): (None, "dependence[0].observed must hold numbers, got None"),
    ("dependence", 1, "values"): ([], "dependence[1].values is empty"),
    ("dependence", 1, "values", 1): (3, "dependence[1].values must hold text, got 3"),
    ("dependence", 2, "values", 1): ("2024-19-39T00:00:00", "dependence[2].values must hold dates, got '2024-19-39"),
    ("dependence", 0, "targets"): ([], "dependence[0].targets must have 1 entries, got 0"),
    ("dependence", 0, "targets", 0, "sd"): ([0.1], "dependence[0].targets[0].sd must have 2 entries, got 1"),
    ("dependence", 0, "targets", 0, "mean", 1): (1e200, "dependence[0].targets[0].mean[1] must be at most 1e+150"),
    ("dependence", 0, "targets", 0, "lower_50", 0): (5.0, "dependence[0].targets[0] must have lower_95 <= lower_50"),
    ("dependence", 0, "targets", 0, "lower_95", 1): (0.95, "dependence[0].targets[0] must have lower_95 <= lower_50"),
    ("uncertain", "columns", 0): ("c", "uncertain.columns must be features, got 'c'"),
    ("uncertain", "median_sd"): ([], "uncertain.median_sd must have 1 entries, got 0"),
    ("uncertain", "found", 0, "row"): (-1, "uncertain.found[0].row must be a whole number"),
    ("uncertain", "found", 0, "sd", 0): (-1, "uncertain.found[0].sd[0] must be a number of at least 0"),
    ("uncertain", "found", 0, "cells"): ([1.0], "uncertain.found[0].cells must have 3 entries, got 1"),
    ("uncertain", "found", 0, "nearest", 0, "y"): ([], "uncertain.found[0].nearest[0].y must have 1 entries, got 0"),
    ("uncertain", "found", 0, "nearest", 0, "cells", 1): ([], "nearest[0].cells[1] must be a number, got []"),
    ("format",): (0, "format must be 1, got 0"),
}


@pytest.mark.parametrize("path", PUT)
def test_the_sentence_says_where(tmp_path, path):
    info = json.loads(json.dumps(INFO))
    place = info
    for key in path[:-1]:
        place = place[key]
    place[path[-1]], words = PUT[path]
    with pytest.raises(UserError) as caught:
        read(tmp_path, json.dumps(info).encode())
    assert words in str(caught.value)


def test_without_what_mattered(tmp_path):
    """Runs of before have no such keys."""
    info = {key: value for key, value in INFO.items() if key not in ("dependence", "uncertain")}
    info["features"] = [{k: v for k, v in f.items() if not k.startswith("permutation")} for f in info["features"]]
    words_of(read(tmp_path, json.dumps(info).encode()))
    del info["features"][1]["relevance"]
    with pytest.raises(UserError, match="only some features have a relevance"):
        read(tmp_path, json.dumps(info).encode())


def test_later_additions_are_left_alone(tmp_path):
    assert read(tmp_path, json.dumps({**INFO, "new": [None]}).encode()).features == ["a", "b", "kind", "day"]
    with pytest.raises(UserError, match="is of format 2 .varbump 0.1.0., but this is varbump"):
        read(tmp_path, json.dumps({**INFO, "format": 2}).encode())
