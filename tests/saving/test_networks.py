import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import registry

import varbump as vb
from varbump.core.keras import keras
from varbump.core.temperature import note_temperature
from varbump.saving import allowed

X = np.random.default_rng(0).normal(size=(5, 2)).astype("float32")
LAYERS = keras.layers


def variational(units=1, posterior=None, **options):
    return vb.layers.DenseVariational(units, posterior or vb.posteriors.MeanFieldNormal(), vb.prior, **options)


def moved(network, seed=0):
    """Weights unlike those of the start."""
    generator = np.random.default_rng(seed)
    network.set_weights(
        [w + 0.1 * np.abs(generator.normal(size=w.shape)).astype(w.dtype) for w in network.get_weights()]
    )
    return network


def again(model, path, **options):
    vb.save(model, path, **options)
    return vb.load(path)


def assert_equal_networks(first, second):
    assert [w.name.split("/")[-1] for w in first.weights] == [w.name.split("/")[-1] for w in second.weights]
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.varbump"


@pytest.mark.slow
@pytest.mark.parametrize("posterior", registry.flatten(registry.POSTERIORS)[1::2], ids=registry.name)
def test_networks_of_every_family(path, posterior):
    activation = vb.layers.GaussianBump(shared=False, trainable_height=True)
    network = moved(vb.build_network(2, hidden_units=(3,), make_posterior_fn=posterior, activation=activation, seed=0))
    assert_equal_networks(network, again(network, path))


@pytest.mark.parametrize("prior", registry.flatten(registry.PRIORS)[1::2], ids=registry.name)
def test_priors_keep_their_configuration(path, prior):
    network = vb.build_network(2, hidden_units=(3,), make_prior_fn=prior, seed=0, dtype="float64")
    loaded = again(network, path)
    assert loaded.layers[0].get_config() == network.layers[0].get_config()
    assert vb.parameter_report(loaded).kl == vb.parameter_report(network).kl


@pytest.mark.parametrize("likelihood", registry.first_fast(registry.flatten(registry.LIKELIHOODS)), ids=registry.name)
def test_likelihoods_keep_every_bit(path, likelihood):
    likelihood = type(likelihood).from_config(likelihood.get_config())
    for variable in getattr(likelihood, "variables", []):
        variable.assign_add(0.1234567)
    network = vb.build_network(2, hidden_units=(), likelihood=likelihood, seed=0)
    saved = again(network, path, likelihood=likelihood)
    assert isinstance(saved, vb.SavedModel)
    assert saved.likelihood.get_config() == likelihood.get_config()
    for a, b in zip(getattr(likelihood, "variables", []), getattr(saved.likelihood, "variables", []), strict=True):
        np.testing.assert_array_equal(a, b)


def sequential_of_everything():
    network = keras.Sequential(
        [
            LAYERS.InputLayer((2,)),
            LAYERS.Normalization(),
            LAYERS.Dense(6, activation="bump", kernel_regularizer="l2"),
            LAYERS.BatchNormalization(scale=False),
            LAYERS.Dropout(0.1),
            LAYERS.Reshape((3, 2)),
            LAYERS.Flatten(),
            LAYERS.PReLU(),
            LAYERS.Activation("gaussian_bump"),
            vb.layers.Bump(shared=False, trainable_center=True),
            LAYERS.LayerNormalization(),
            LAYERS.LeakyReLU(),
            variational(2, vb.posteriors.LowRankNormal(), activation="swish"),
            LAYERS.Rescaling(2.0),
            variational(use_bias=False),
        ]
    )
    network.layers[0].adapt(X)
    network(X)
    return network


def functional():
    inputs = keras.Input((2,))
    shared = variational(2, activation=vb.layers.Bump())
    hidden = LAYERS.Concatenate()([shared(shared(inputs)), LAYERS.Dense(3, use_bias=False)(inputs)])
    return keras.Model(inputs, LAYERS.Add()([variational()(hidden), LAYERS.Dense(1)(inputs)]))


@pytest.mark.parametrize("make", [pytest.param(sequential_of_everything, marks=pytest.mark.slow), functional])
def test_models_of_keras_layers_and_ours(path, make):
    network = make()
    normalization = network.layers[0]
    if make is functional:
        moved(network)
    loaded = again(network, path)
    assert_equal_networks(network, loaded)
    if make is sequential_of_everything:
        np.testing.assert_array_equal(loaded.layers[0](X), normalization(X))
        return
    np.testing.assert_array_equal(
        vb.predict_f(network, X, num_draws=3, seed=1), vb.predict_f(loaded, X, num_draws=3, seed=1)
    )


def test_models_whose_inputs_came_with_the_first_call(path):
    network = keras.Sequential([LAYERS.Dense(3), variational()])
    network(X)
    loaded = again(moved(network), path)
    assert loaded.built
    assert_equal_networks(network, loaded)


def test_temperature_and_frozen_weights_are_kept(path):
    network = vb.build_network(2, hidden_units=(3,), seed=0)
    network.layers[0].trainable = False
    note_temperature(network, 0.5)  # as fit does
    loaded = again(network, path)
    assert vb.parameter_report(loaded).temperature == 0.5
    assert len(loaded.trainable_weights) == 3
    assert_equal_networks(network, loaded)


def test_equal_models_make_equal_files_that_others_can_read(path, tmp_path):
    network = vb.build_network(2, seed=0)
    vb.save(network, path)
    vb.save(network, tmp_path / "other")
    assert path.read_bytes() == (tmp_path / "other").read_bytes()
    with np.load(path) as arrays:  # an npz of plain arrays and a JSON
        np.testing.assert_array_equal(arrays["weights/0/0"], network.layers[0].weights[0])
    assert sorted(os.listdir(tmp_path)) == ["model.varbump", "other"]


def my_factory(kernel_size, bias_size=0, dtype=None, **options):
    return vb.posterior(kernel_size, bias_size, dtype, **options)


class MyLayer(LAYERS.Dense):
    pass


def my_activation(x):
    return x


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([LAYERS.Lambda(lambda x: x)], "layer 'lambda.*Lambda, which cannot be saved"),
        ([LAYERS.Dense(1, activation=lambda x: x)], "activation is a function without a name"),
        ([variational(activation=lambda x: x)], "activation is a function without a name"),
        ([variational(activation=my_activation)], "activation is my_activation, which cannot be saved"),
        ([MyLayer(1)], "MyLayer, which cannot be saved"),
        ([vb.layers.DenseVariational(1, my_factory, vb.prior)], "make_posterior_fn is .*, which cannot be saved"),
        ([vb.layers.DenseVariational(1, vb.posterior, lambda *a: vb.prior(*a))], "make_prior_fn is a function"),
        ([keras.Sequential([LAYERS.Dense(1)])], "Sequential, which cannot be saved"),
    ],
)
def test_what_has_no_name_is_refused_and_nothing_is_written(path, layers, message):
    network = keras.Sequential(layers)
    network(X)
    with pytest.raises(ValueError, match=f"Sequential cannot be saved: .*{message}"):
        vb.save(network, path)
    assert not path.exists()


def test_every_factory_and_likelihood_can_be_saved():
    for key, listed in [
        ("make_posterior_fn", registry.POSTERIORS),
        ("make_prior_fn", registry.PRIORS),
        ("likelihood", registry.LIKELIHOODS),
    ]:
        ours = {name for name in allowed.table_for(key) if name.startswith("varbump>")}
        assert {allowed.table_for(key)[name].__name__ for name in ours} - {"ContinuedNormal"} == set(listed)


def test_a_path_that_is_none(path):
    for call in (lambda: vb.load(3), lambda: vb.save(vb.build_network(2, seed=0), None)):
        with pytest.raises(TypeError, match="path must be the name of a file, got"):
            call()


def test_other_things_that_cannot_be_saved(path):
    class Subclass(keras.Model):
        def call(self, x):
            return x

    network = vb.build_network(2, seed=0)
    for model, error, message in [
        (3, TypeError, "model must be a network, an Ensemble, a VariationalRegressor, or a pipeline .*, got int"),
        (Subclass(), ValueError, "it is a Subclass; only"),
        (keras.Sequential([LAYERS.Dense(1)]), ValueError, "has not been built yet"),
        (keras.Sequential([LAYERS.Dense(1, dtype="float16")]), ValueError, "it computes in float16"),
        (vb.VariationalRegressor(), ValueError, "it has not been fitted yet"),
    ]:
        with pytest.raises(error, match=message):
            vb.save(model, path)
    with pytest.raises(ValueError, match="the likelihood is a MeanSquaredError"):
        vb.save(network, path, likelihood=keras.losses.MeanSquaredError())
    network.layers[0].weights[0].assign(np.full(32 + 16, np.nan, "float32"))
    with pytest.raises(ValueError, match="weights/0/0 has nan"):
        vb.save(network, path)
    assert not path.exists()


def test_places_that_cannot_be_written(tmp_path, monkeypatch):
    network = vb.build_network(2, seed=0)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        vb.save(network, tmp_path / "none" / "model.varbump")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        vb.save(network, tmp_path)
    path = tmp_path / "model.varbump"
    path.write_text("what was there before")

    def full(*_):
        raise OSError(28, "No space left on device")

    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, full)
            with pytest.raises(OSError, match=r"model.varbump could not be written \(No space left on device\)"):
                vb.save(network, path)
    assert path.read_text() == "what was there before"
    assert os.listdir(tmp_path) == ["model.varbump"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_a_disk_that_fills_up_while_the_file_is_written(tmp_path, monkeypatch):
    network, opened = vb.build_network(2, seed=0), os.open
    monkeypatch.setattr(os, "open", lambda path, flags, *mode: opened("/dev/full", os.O_WRONLY))
    with pytest.raises(OSError, match="could not be written .*No space left"):
        vb.save(network, tmp_path / "model.varbump")
    monkeypatch.undo()
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_that_must_not_be_written_to(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="could not be written"):
        vb.save(vb.build_network(2, seed=0), tmp_path / "model.varbump")
    tmp_path.chmod(0o700)


@pytest.mark.slow
def test_another_process_draws_the_same(path):
    likelihood = vb.likelihoods.LearnedNormal(0.3)
    network = vb.build_network(2, seed=0, activation="bump")
    vb.fit(network, likelihood, X, X[:, :1], epochs=3, seed=0, verbose=0)
    vb.save(network, path, likelihood=likelihood)
    script = textwrap.dedent("""
        import sys, numpy as np, varbump as vb
        saved = vb.load(sys.argv[1])
        y = vb.predict_y(saved.network, saved.likelihood, np.load(sys.argv[2]), num_draws=7, seed=3)
        np.save(sys.argv[3], y)
    """)
    np.save(path.with_name("x.npy"), X)
    files = [str(path), str(path.with_name("x.npy")), str(path.with_name("y.npy"))]
    subprocess.run([sys.executable, "-c", script, *files], check=True, capture_output=True)
    np.testing.assert_array_equal(np.load(files[2]), vb.predict_y(network, likelihood, X, num_draws=7, seed=3))
