"""Histories keep all their fields; those that earlier versions did not write have their defaults."""

import json

import numpy as np
import pytest

from varbump.inference.vi.history import History
from varbump.saving.allowed import Refused
from varbump.saving.values import history_arrays, history_configuration, make_history

HISTORY = History({"loss": [2.0, 1.0]}, 40, 3, 0.5, 6, 1.0, "patience", 1, estimated_kl=("output", "hidden"))


def written(history):
    return json.loads(json.dumps(history_configuration(history)))


def read(configuration):
    arrays = history_arrays(HISTORY)
    return make_history(configuration, lambda name: np.asarray(arrays[name]))


def test_every_field_comes_back():
    assert read(written(HISTORY)) == HISTORY
    assert read(written(History(HISTORY.history, exact=True))) == History(HISTORY.history, exact=True)


def test_files_of_earlier_versions_load():
    configuration = written(HISTORY)
    del configuration["exact"], configuration["estimated_kl"]
    found = read(configuration)
    assert found.kl_is_exact
    assert not found.exact
    assert found.best_epoch == 1


@pytest.mark.parametrize(("field", "value"), [("exact", 1), ("estimated_kl", "output"), ("estimated_kl", [1])])
def test_other_values_are_refused(field, value):
    with pytest.raises(Refused, match=f"the history, {field}"):
        read({**written(HISTORY), field: value})
