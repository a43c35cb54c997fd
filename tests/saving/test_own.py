"""Parts of one's own in files: saved under their names, and loaded where the names are known."""

import io
import json
import pickle
import zipfile

import numpy as np
import own_parts
import pytest
from small_regressor import small_regressor

import varbump as vb
from varbump.core import registry as core_registry
from varbump.core.keras import keras

X = np.random.default_rng(0).normal(size=(30, 2)).astype("float32")
PRIOR = own_parts.HeavyTails(4.0, kind="robust", cores=[1.0, 2.0], base=vb.priors.ARDNormal(), scale=0.5)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.varbump"


def network(**options):
    return vb.build_network(
        2, hidden_units=(3,), make_posterior_fn=own_parts.Logistic(scale=0.1), make_prior_fn=PRIOR, seed=0, **options
    )


def assert_same_functions(first, second):
    np.testing.assert_array_equal(
        vb.predict_f(first, X, num_draws=3, seed=1), vb.predict_f(second, X, num_draws=3, seed=1)
    )


@pytest.mark.slow
def test_a_network_of_own_parts(path):
    saved = network(activation=own_parts.Slope())
    vb.save(saved, path)
    loaded = vb.load(path)
    assert_same_functions(saved, loaded)
    assert loaded.layers[0].get_config() == saved.layers[0].get_config()
    assert isinstance(loaded.layers[0].make_prior_fn.base, vb.priors.ARDNormal)


def test_layers_of_ones_own(path):
    own = own_parts.Twice(1, vb.posteriors.MeanFieldNormal(), vb.prior, seed=0)
    saved = keras.Sequential([keras.Input((2,)), own_parts.Slope(), own])
    saved.layers[0].slope.assign([2.0, 3.0])
    vb.save(saved, path)
    loaded = vb.load(path)
    assert [type(layer) for layer in loaded.layers] == [own_parts.Slope, own_parts.Twice]
    assert_same_functions(saved, loaded)


@pytest.mark.slow
def test_keras_saves_and_loads_them_too(tmp_path):
    saved = network()
    saved.save(tmp_path / "model.keras")
    assert_same_functions(saved, keras.models.load_model(tmp_path / "model.keras"))


@pytest.mark.slow
def test_an_ensemble(path):
    likelihood = vb.likelihoods.LearnedNormal()
    ensemble = vb.fit_ensemble(network(), likelihood, X, X[:, :1], num_members=2, epochs=2, seed=0, verbose=0)
    first, second = vb.predict_f(ensemble, X, num_draws=2, seed=0)
    assert not np.allclose(first, second)
    vb.save(ensemble, path)
    assert_same_functions(ensemble, vb.load(path))


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"posterior": own_parts.Logistic(), "prior": PRIOR}, marks=pytest.mark.slow),
        {"posterior": "tests_logistic", "prior": "tests_heavy_tails"},
    ],
    ids=["objects", "names"],
)
def test_a_regressor(path, options):
    model = small_regressor(max_iter=3, **options)
    model.fit(X, X[:, 0])
    expected = model.predict(X, return_std=True)
    vb.save(model, path)
    for again in (vb.load(path), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(again.predict(X, return_std=True), expected)
        assert type(again.network_.layers[0].make_posterior_fn) is own_parts.Logistic
        assert type(again.network_.layers[0].make_prior_fn) is own_parts.HeavyTails


def test_an_unknown_short_name_is_refused():
    with pytest.raises(ValueError, match="The 'prior' parameter .*'tests_heavy_tails'.* Got 'flat' instead"):
        vb.VariationalRegressor(prior="flat").fit(X, X[:, 0])


@pytest.mark.parametrize("name", ["TestsHeavyTails", "TestsLogistic", "TestsSlope"])
def test_a_name_that_is_not_registered_where_it_is_loaded(path, monkeypatch, name):
    vb.save(network(activation=own_parts.Slope()), path)
    without = {key: cls for key, cls in core_registry._classes.items() if key != f"custom>{name}"}
    monkeypatch.setattr(core_registry, "_classes", without)
    with pytest.raises(vb.ArchiveError, match=rf"registered as '{name}', which is not known.*@varbump.register\("):
        vb.load(path)


def test_a_class_without_a_name_cannot_be_saved(path):
    class Nameless(own_parts.HeavyTails):
        pass

    model = vb.build_network(2, make_prior_fn=Nameless(), seed=0)
    with pytest.raises(ValueError, match="make_prior_fn is Nameless, which cannot be saved.*varbump.register"):
        vb.save(model, path)
    assert not path.exists()


def test_a_registered_layer_without_a_base_of_ours_cannot_be_saved(path):
    @vb.register("TestsPlain")
    class Plain(keras.layers.Layer):
        def call(self, inputs):
            return 2.0 * inputs

    model = keras.Sequential([keras.Input((2,)), Plain(), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="TestsPlain, which is registered but of no kind.*TrainableActivation"):
        vb.save(model, path)


def test_a_class_of_another_kind_is_refused(path):
    vb.save(network(), path)
    with pytest.raises(vb.ArchiveError, match="make_prior_fn is TestsLogistic, which cannot be saved or loaded"):
        vb.load(_changed(path, "class", "custom>TestsLogistic"))


@pytest.mark.parametrize(
    "value",
    [
        "__import__('os').system('true')", "os.system", "../secret", "a b", "x" * 41, "_hidden", "caf\u00e9",
        {"class": "layers.Lambda", "config": {}}, {"class": "os.system", "config": {}}, {"eval": "1"},
        {"class_name": "Lambda", "config": {}}, 2**70, [["word"]], [{"class": "varbump>NormalPrior"}],
    ],
    ids=str,
)  # fmt: skip
def test_values_that_no_configuration_may_hold(path, value):
    vb.save(network(), path)
    with pytest.raises(vb.ArchiveError, match="kind"):
        vb.load(_changed(path, "config", {**PRIOR.get_config(), "base": None, "kind": value}))


@pytest.mark.parametrize("value", ["robust", "t2", "two_words", None, True, 3, [1.0, [2.0]]], ids=str)
def test_values_that_a_configuration_of_ones_own_may_hold(path, value):
    vb.save(network(), path)
    loaded = vb.load(_changed(path, "config", {**PRIOR.get_config(), "base": None, "kind": value}))
    assert loaded.layers[0].make_prior_fn.kind == value


def test_a_likelihood_that_would_take_all_memory_is_refused_wherever_it_stands(path):
    vb.save(network(), path)
    many = {"class": "varbump>LearnedNormalLikelihood", "config": {"num_targets": 2**30}}
    with pytest.raises(vb.ArchiveError, match="learn 1,073,741,824 numbers"):
        vb.load(_changed(path, "config", {**PRIOR.get_config(), "base": many}))


def _changed(path, key, value):
    """The file with another class or configuration of the first layer's prior."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    header = json.loads(content["varbump.json"])
    first = next(layer for layer in header["configuration"]["layers"] if layer["class"] == "varbump>DenseVariational")
    first["config"]["make_prior_fn"][key] = value
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in {**content, "varbump.json": json.dumps(header)}.items():
            archive.writestr(name, data)
    path.write_bytes(buffer.getvalue())
    return path
