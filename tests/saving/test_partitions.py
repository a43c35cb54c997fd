"""A model in a file is loaded once for each process, path and time, and predicts parts of any kind."""

import os

import numpy as np
import pandas as pd
import pytest

import varbump as vb
from varbump.saving import partitions

X = np.random.default_rng(0).normal(size=(40, 2))


@pytest.fixture
def path(tmp_path):
    network = vb.build_network(2, hidden_units=(3,), posterior="mean_field", seed=0)
    vb.save(network, tmp_path / "model.varbump", likelihood=vb.likelihoods.Normal(0.3))
    return tmp_path / "model.varbump"


def test_kinds_of_parts(path):
    options = {"num_draws": 10, "levels": (0.5,)}
    of_array = vb.predict_partition(X, path, **options)
    assert list(of_array) == ["mean", "sd", "lower_50", "upper_50"]
    of_mapping = vb.predict_partition({"a": X[:, 0], "b": X[:, 1]}, path, **options)
    frame = pd.DataFrame({"b": X[:, 1], "other": 0.0, "a": X[:, 0]}, index=np.arange(40) + 7)
    of_frame = vb.predict_partition(frame, path, features=["a", "b"], **options)
    assert list(of_frame.index) == list(frame.index)
    for name, values in of_array.items():
        np.testing.assert_array_equal(of_mapping[name], values)
        np.testing.assert_array_equal(of_frame[name], values)
    assert len(vb.predict_partition(X[:0], path, **options)["mean"]) == 0


@pytest.mark.slow
def test_a_file_is_loaded_again_only_when_it_has_changed(path, monkeypatch):
    loads, load = [], partitions.load
    monkeypatch.setattr(partitions, "load", lambda name: loads.append(name) or load(name))
    for _ in range(3):
        vb.predict_partition(X, path, num_draws=4)
    assert len(loads) == 1
    os.utime(path, ns=(0, 1))
    vb.predict_partition(X, path, num_draws=4)
    assert len(loads) == 2


def test_a_network_needs_its_likelihood(tmp_path):
    vb.save(vb.build_network(2, hidden_units=(), seed=0), tmp_path / "a.varbump")
    with pytest.raises(ValueError, match="path must hold a model with its likelihood"):
        vb.predict_partition(X, tmp_path / "a.varbump")
