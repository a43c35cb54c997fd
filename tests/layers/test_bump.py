import warnings

import numpy as np
import pytest
import tensorflow as tf
from other_keras import BY_NAME, SAVED_MODELS, only_keras2

import varbump as vb
from varbump.core.keras import keras
from varbump.layers import Bump, GaussianBump

X = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
Y = np.sin(X[:, :1])
OPTIONS = [{}, {"shared": False}, {"shared": False, "trainable_height": True, "trainable_center": True}]
LAYERS = [Bump, GaussianBump]
each = pytest.mark.parametrize("make", LAYERS)
options = pytest.mark.parametrize("option", OPTIONS, ids=["shared", "by feature", "all"])


def test_bump_is_the_formula():
    layer = Bump(sigma_initializer=2.0, trainable_height=True, trainable_center=True)
    layer(X)
    layer.height.assign(3.0)
    layer.center.assign(0.5)
    z = X.astype(float) - 0.5
    inside = np.abs(z) < np.sqrt(2.0)
    expected = np.where(inside, 3 * np.exp(-2 / np.where(inside, 2 - z**2, 1.0)), 0.0)
    np.testing.assert_allclose(layer(X), expected, rtol=1e-4, atol=1e-30)  # exponents up to 100: eps e^2


def test_gaussian_bump_is_the_formula():
    layer = GaussianBump(inverse_width_initializer=0.7)
    np.testing.assert_allclose(layer(X), np.exp(-0.7 * X.astype(float) ** 2), rtol=1e-5)


def test_normalised_peak_is_one():
    assert float(Bump(normalize=True)(tf.zeros([1, 1]))[0, 0]) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("support", ["smooth", "threshold"])
def test_support_is_passed_on(support):
    x = np.linspace(-1, 1, 101, dtype="float32")[:, None]
    np.testing.assert_array_equal(Bump(support, sigma_initializer=0.25)(x), vb.bump(x, np.float32(0.25), support))


@each
@options
@pytest.mark.parametrize("shape", [(5, 3), (2, 5, 3), (2, 2, 5, 3)])
def test_any_rank(make, option, shape):
    layer = make(**option)
    assert layer(np.zeros(shape, "float32")).shape == shape
    assert {tuple(w.shape) for w in layer.weights} == {() if option.get("shared", True) else (3,)}


@each
@pytest.mark.parametrize("policy", ["float64", "float32", "mixed_float16", "mixed_bfloat16"])
def test_dtype_policies(make, policy):
    layer = make(dtype=policy)
    outputs = layer(np.ones((2, 3), "float32"))
    assert outputs.dtype.name == policy.removeprefix("mixed_")
    assert tf.as_dtype(layer.weights[0].dtype).name == ("float64" if policy == "float64" else "float32")


@each
@options
def test_config_round_trips(make, option):
    layer = make(**option, name="b")
    again = make.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    np.testing.assert_array_equal(again(X), layer(X))


def models(activation):
    """The activation in each kind of model, and as a layer."""
    dense = keras.layers.Dense

    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden, self.out = dense(4, activation=activation), dense(1)

        def call(self, x):
            return self.out(self.hidden(x))

    inputs = keras.Input((3,))
    return {
        "sequential": keras.Sequential([keras.Input((3,)), dense(4, activation=activation), dense(1)]),
        "deferred": keras.Sequential([dense(4, activation=activation), dense(1)]),
        "functional": keras.Model(inputs, dense(1)(dense(4, activation=activation)(inputs))),
        "subclassed": Subclassed(),
    }


@pytest.mark.parametrize(
    ("kind", "activation"),
    [
        ("sequential", "bump"),
        ("deferred", "bump"),
        ("functional", "gaussian_bump"),
        ("subclassed", "bump"),
        ("subclassed", GaussianBump),
        ("functional", Bump),
    ],
)
def test_every_kind_of_model_trains_every_weight(kind, activation):
    model = models(activation if isinstance(activation, str) else activation())[kind]
    model.compile(keras.optimizers.Adam(0.01), "mse")
    model(X)
    before = model.get_weights()
    assert len(model.trainable_weights) == 5
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(X) - Y))
    gradients = tape.gradient(loss, model.trainable_weights)
    assert all(g is not None and np.any(np.asarray(g) != 0) for g in gradients)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # "Gradients do not exist for variables"
        losses = model.fit(X, Y, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert all(not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(
    "activation",
    [
        pytest.param("bump", marks=pytest.mark.slow),
        pytest.param("gaussian_bump", marks=pytest.mark.slow),
        Bump(shared=False, trainable_height=True),
    ],
)
def test_variational_networks_train_every_weight(activation):
    network = vb.build_network(3, hidden_units=(4, 4), activation=activation, seed=0)
    assert network.layers[0].activation is not network.layers[1].activation
    before = network.get_weights()
    history = vb.fit(network, vb.likelihoods.Normal(0.3), X, Y, epochs=40, seed=0, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert all(not np.array_equal(a, b) for a, b in zip(before, network.get_weights(), strict=True))
    assert vb.predict_f(network, X, num_draws=3).shape == (3, 64, 1)
    report = vb.parameter_report(network)
    assert report.num_trainable == sum(int(np.prod(w.shape)) for w in network.trainable_weights)


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["bump", GaussianBump(shared=False, trainable_center=True)])
@pytest.mark.parametrize(
    "suffix", [".keras", ".h5", pytest.param("", marks=[pytest.mark.slow, only_keras2(SAVED_MODELS)])]
)
def test_models_save_and_load(tmp_path, activation, suffix):
    plain = models(activation)["functional"]
    variational = vb.build_network(3, hidden_units=(4,), activation=activation, seed=0, kl_weight=1.0)
    for name, model in (("plain", plain), ("variational", variational)):
        for weight in model.weights:
            weight.assign_add(0.1 * tf.ones_like(weight))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tf_keras on its own older formats
            model.save(tmp_path / f"{name}{suffix}")
            loaded = keras.models.load_model(tmp_path / f"{name}{suffix}")
        for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(
        vb.predict_f(variational, X, num_draws=2, seed=0), vb.predict_f(loaded, X, num_draws=2, seed=0), atol=1e-6
    )


def test_an_optimiser_can_not_make_sigma_negative():
    layer = Bump(sigma_initializer=0.01)
    model = keras.Sequential([keras.Input((1,)), layer])
    model.compile(keras.optimizers.SGD(10.0), "mse")
    model.fit(X[:, :1], np.zeros((64, 1)), epochs=5, verbose=0)
    assert float(layer.sigma) >= 0


def test_sigma_zero_is_the_zero_function_with_a_finite_gradient():
    layer = Bump(sigma_initializer=0.0)
    with tf.GradientTape() as tape:
        outputs = layer(X)
    assert not np.any(outputs)
    assert float(tape.gradient(outputs, layer.root_sigma)) == 0.0


@only_keras2(BY_NAME)
def test_a_name_used_where_nothing_can_hold_its_weight_says_so():
    with pytest.raises(ValueError, match=r"pass it as activation=.*varbump\.layers\.Bump"):
        keras.activations.get("bump")(tf.zeros([2, 2]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"support": "round"}, "support must be one of"), ({"sigma_initializer": -1.0}, "negative")],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Bump(**arguments)(X)
