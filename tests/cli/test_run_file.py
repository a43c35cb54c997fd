"""run.json after an edit: it is read and shown, or refused in one sentence that says where."""

import json

import numpy as np
import pytest
from edited_json import edited
from hypothesis import HealthCheck, given, settings

from varbump.cli import reporting
from varbump.cli.errors import UserError
from varbump.cli.frame import Frame
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

INFO = {
    "format": 1,
    "varbump": "0.1.0",
    "versions": {"varbump": "0.1.0", "python": "3.11.2"},
    "created": "2024-02-29T12:00:00+00:00",
    "seed": 0,
    "rows": {"train": 16, "held_out": 4, "scored": 4},
    "features": [{**column, "relevance": 0.5} for column in describe_features(FRAME.columns, FRAME)],
    "targets": [describe("y", TABLE[:, 2])],
    "noise_sd": [0.5],
    "parameters": {"weights": 10, "trainable": 20, "effective": 3.5, "kl": None, "judgement": "Fine."},
    "training": {"epochs": 5, "loss": 1.5},
    "scores": {"varbump": SCORES, "constant": SCORES},
    "calibration": {"calibrated": True, "judgement": "Fine."},
    "data": {"file": "data.csv", "rows": 20, "dropped": 0, "columns": ["a", "b", "y"], "sha256": "0" * 64},
    "arguments": {"targets": ["y"], "hidden": [50], "max_iter": None, "test_size": 0.2, "drop_missing": False},
    "seconds": 1.5,
}


def words_of(run):
    """All of the page that does not need the model."""
    info, order = run.info, list(range(len(run.features)))[::-1]
    parts = [reporting._summary(run), reporting._scores(info), reporting._relevance(info, order)]
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


def test_later_additions_are_left_alone(tmp_path):
    assert read(tmp_path, json.dumps({**INFO, "new": [None]}).encode()).features == ["a", "b", "kind", "day"]
    with pytest.raises(UserError, match="is of format 2 .varbump 0.1.0., but this is varbump"):
        read(tmp_path, json.dumps({**INFO, "format": 2}).encode())
