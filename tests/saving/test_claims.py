"""Files that claim more than they hold: refused in a sentence, before anything of that size is made."""

import copy
import json
import re
import time

import numpy as np
import pandas as pd
import pytest
from tampered import HEADER, arrays_of, members, put, refused, tampered, with_arrays, write

import varbump as vb
import varbump.core.archive
from varbump.core.keras import keras

MANY = {"class": "varbump>LearnedNormalLikelihood", "config": {"num_targets": 10**6}}

JOINT = {"class": "varbump>JointNormal", "config": {}}


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "model.varbump"
    family = vb.posteriors.MeanFieldNormal()
    network = vb.build_network(2, hidden_units=(3,), make_posterior_fn=family, seed=0)
    vb.save(network, path, likelihood=vb.likelihoods.LearnedNormal(0.3))
    return path


@pytest.fixture(scope="module")
def regressor(fitted, tmp_path_factory):
    path = tmp_path_factory.mktemp("regressor") / "model.varbump"
    vb.save(fitted, path)
    return path


@pytest.fixture(autouse=True)
def _soon():
    """Each refusal takes a fraction of a second; what was claimed would take minutes."""
    start = time.process_time()
    yield
    assert time.process_time() - start < 10.0


def plain(path, *layers):
    """An archive of layers of Keras."""
    vb.save(keras.Sequential([keras.Input((2,)), *layers]), path)
    return path


PARAMETER = ("configuration", "parameters")
ARGUMENT = ("configuration", "arguments")

REGRESSORS = {
    "a million million million draws": (put(*PARAMETER, "n_draws", 10**18), "'n_draws'.*1000000"),
    "likelihoods in a list": (put(*PARAMETER, "hidden_layer_sizes", {"list": [MANY] * 300}), "300,0.* numbers, more"),
    "a likelihood elsewhere": (put(*PARAMETER, "posterior", MANY), "numbers, more than there are in its"),
    "objects in a list": (put(*PARAMETER, "hidden_layer_sizes", {"list": [JOINT]}), "must not be .*JointNormal"),
    "an unknown parameter with objects": (put(*PARAMETER, "other", JOINT), "parameter 'other' is unknown"),
    "an unknown argument with objects": (put(*ARGUMENT, "other", JOINT), "argument 'other' is unknown"),
    "thousands of layers": (put(*ARGUMENT, "hidden_units", {"tuple": [1] * 10_000}), "at most 1000 layers"),
    "no members": (put("configuration", "likelihoods", []), "no members"),
    "an endless name": (put(*PARAMETER, "\n" * 10**6 + "x" * 10**6, 1), "is unknown"),
    "an endless list": (put(*ARGUMENT, "estimator", {"list": {"x" * 10**6: 1}}), "must not be"),
    "a negative number of rows": (put("configuration", "history", "num_data", -5), "num_data must be a number"),
    "no names of layers": (
        put("configuration", "history", "estimated_kl", [3]),
        "estimated_kl must be names of layers",
    ),
    "an exactness that is none": (put("configuration", "history", "exact", "yes"), "exact must not be yes"),
    "an infinite time": (put("configuration", "history", "seconds", 10**400), "seconds must be a number"),
}


@pytest.mark.parametrize("name", REGRESSORS)
def test_regressors(regressor, tmp_path, name):
    change, message = REGRESSORS[name]
    found = refused(tampered(regressor, tmp_path / "model.varbump", change))
    assert re.search(message, found), found
    assert "\n" not in found


def test_empty_arrays_of_any_size(regressor, tmp_path):
    """With no members, arrays of members need no bytes, whatever the network."""
    kept = {k: v for k, v in arrays_of(regressor).items() if not k.startswith(("members/", "likelihoods/"))}
    empty = {f"members/{index}": np.zeros((0, 300), "float32") for index in range(5)}
    path = with_arrays(regressor, tmp_path / "m.varbump", kept | empty, put("configuration", "likelihoods", []))
    assert "it would be empty" in refused(path)


def test_arrays_larger_than_their_member(network, tmp_path):
    """The file as a whole would be large enough for each of them, but not for all."""
    change = put("arrays", "weights/0/1", "shape", [100])
    assert "larger than its part of the file" in refused(tampered(network, tmp_path / "model.varbump", change))


def test_layers_without_weights_cannot_widen_what_follows(tmp_path):
    """A list of 20,000 scales makes 20,000 features of each, and the next layer as many rows of weights."""
    path = plain(tmp_path / "model.varbump", keras.layers.Rescaling(2.0), keras.layers.Dense(3))
    for value in ([1.0] * 20_000, [[1.0], [2.0]]):
        change = put("configuration", "layers", 1, "config", "scale", value)
        assert "one for each of 2 features" in refused(tampered(path, tmp_path / "other.varbump", change))
    own = plain(tmp_path / "own.varbump", keras.layers.Rescaling([1.0, 2.0]), keras.layers.Dense(3))
    np.testing.assert_allclose(vb.load(own)(np.ones((1, 2), "float32")).shape, (1, 3))


def test_rows_that_double_with_each_layer(tmp_path):
    inputs = keras.Input((2,))
    path = tmp_path / "model.varbump"
    vb.save(keras.Model(inputs, keras.layers.Concatenate()([inputs, inputs])), path)
    layers = json.loads(members(path)[HEADER])["configuration"]["layers"]
    last = layers[-1]
    for index in range(40):
        of = [layers[-1]["name"], 0, 0, {}]
        name = f"more_{index}"
        layers.append({**last, "name": name, "config": {**last["config"], "name": name}, "inbound_nodes": [[of, of]]})
    change = put("configuration", "layers", layers)
    assert "more than 16,777,216 numbers of each row" in refused(tampered(path, path, change))


def test_a_layer_that_is_called_thousands_of_times(tmp_path):
    inputs, layer = keras.Input((2,)), keras.layers.ReLU(name="again")
    path = tmp_path / "model.varbump"
    vb.save(keras.Model(inputs, layer(layer(inputs))), path)
    calls = [[["again", index + 1, 0, {}]] for index in range(10_000)]  # each waits for the next
    change = put("configuration", "layers", 1, "inbound_nodes", calls)
    assert "called at most 1000 times, got 10,000" in refused(tampered(path, path, change))


def test_keys_that_are_given_twice(network, tmp_path):
    content = members(network)
    text = content[HEADER].replace(b'"kind":', b'"kind": "regressor", "kind":', 1)
    assert "it gives 'kind' twice" in refused(write(tmp_path / "model.varbump", {**content, HEADER: text}))


def test_a_configuration_that_could_not_be_read_is_not_written(network, tmp_path, monkeypatch):
    saved = vb.load(network)
    monkeypatch.setattr(varbump.core.archive, "MAX_HEADER_BYTES", 1000)
    path = tmp_path / "model.varbump"
    path.write_text("as before")
    with pytest.raises(ValueError, match="the configuration has .* bytes"):
        vb.save(saved.network, path)
    assert path.read_text() == "as before"


@pytest.mark.slow
def test_files_of_earlier_versions_lack_some_fields_of_the_history(regressor, tmp_path):
    def change(header):
        for name in ("exact", "estimated_kl"):
            del header["configuration"]["history"][name]

    history = vb.load(tampered(regressor, tmp_path / "model.varbump", change)).history_
    assert (history.exact, history.estimated_kl) == (False, ())


def test_histories_are_one_number_for_each_epoch(regressor, tmp_path):
    arrays = {name: array[None] if name[:3] == "his" else array for name, array in arrays_of(regressor).items()}
    assert "one number for each epoch" in refused(with_arrays(regressor, tmp_path / "m.varbump", arrays))


@pytest.mark.slow
def test_what_a_regressor_holds_must_agree(regressor, tmp_path):
    """Members in another precision, another noise than that of the members, negative noise."""
    arrays, path = arrays_of(regressor), tmp_path / "model.varbump"
    doubled = {k: v.astype("float64") if k.startswith("members/") else v for k, v in arrays.items()}
    assert "members/0 is float64" in refused(with_arrays(regressor, path, doubled))
    other = arrays | {"likelihoods/1/0": arrays["likelihoods/1/0"] + np.float32(1.0)}
    assert "likelihoods/1 is not the likelihood of its member" in refused(with_arrays(regressor, path, other))
    assert "negative" in refused(with_arrays(regressor, path, arrays | {"noise_std": -arrays["noise_std"]}))


@pytest.mark.slow
def test_targets_are_not_dropped(tmp_path):
    """A file of two targets that says it has one would predict the first only."""
    x = np.random.default_rng(0).normal(size=(40, 2))
    model = vb.VariationalRegressor(
        (3,), likelihood="normal", embedding=None, max_iter=2, n_members=1, n_draws=4, random_state=0
    )
    path = tmp_path / "model.varbump"
    vb.save(model.fit(x, x), path)
    arrays = arrays_of(path)
    arrays["noise_std"] = np.array(arrays["noise_std"][0])
    change = put("configuration", "single_target", True)
    assert "2 targets, but says that it has a single one" in refused(with_arrays(path, path, arrays, change))


def test_draws_of_a_fitted_regressor(fitted):
    model = copy.copy(fitted).set_params(n_draws=10**18)
    rows = pd.DataFrame(np.zeros((1, 2)), columns=fitted.feature_names_in_)
    with pytest.raises(ValueError, match="n_draws must be at most 1,000,000"):
        model.predict(rows)
    with pytest.raises(ValueError, match="n_samples must be at most 1,000,000"):
        fitted.sample_y(rows, n_samples=10**18)
