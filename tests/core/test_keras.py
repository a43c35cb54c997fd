"""Which Keras is in use is chosen by the environment, and objects of the other are refused."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from other_keras import REFUSED, other

import varbump as vb
from varbump.core import keras as chosen
from varbump.core.keras import FACE, keras, variables_of


@pytest.mark.parametrize(("value", "face"), [(None, 2), ("", 2), ("2", 2), ("3", 3)])
def test_the_environment_chooses(value, face, monkeypatch):
    monkeypatch.delenv("VARBUMP_KERAS", raising=False)
    if value is not None:
        monkeypatch.setenv("VARBUMP_KERAS", value)
    assert chosen._chosen() == face


@pytest.mark.parametrize("value", ["4", "keras", "3.0"])
def test_other_values_are_refused(value, monkeypatch):
    monkeypatch.setenv("VARBUMP_KERAS", value)
    with pytest.raises(ImportError, match=f"VARBUMP_KERAS must be 2 .* or 3 .*, got '{value}'"):
        chosen._chosen()


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_are_refused(backend, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", backend)
    with pytest.raises(ImportError, match=f"the backend of Keras is {backend}: set KERAS_BACKEND=tensorflow"):
        chosen._check_backend()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"VARBUMP_KERAS": "1"}, "VARBUMP_KERAS must be"),
        ({"VARBUMP_KERAS": "3", "KERAS_BACKEND": "jax"}, "the backend of Keras is jax"),
    ],
)
def test_an_import_says_what_is_wrong_in_its_last_line(variables, sentence):
    command = [sys.executable, "-c", "import varbump"]
    done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: ")
    assert sentence in last


def test_objects_of_the_other_keras_are_refused():
    with pytest.raises(TypeError, match=f"network {REFUSED}"):
        vb.predict_f(other.Sequential([other.layers.Dense(1)]), np.zeros((2, 1)))


@pytest.mark.skipif(FACE != 3, reason="Keras 3 only: layers of TFP are refused")
def test_layers_of_tfp_are_refused_with_what_to_use():
    layer = tfp.layers.DistributionLambda(lambda t: t)
    with pytest.raises(TypeError, match="activation is a tfp.layers.DistributionLambda, .* or unset VARBUMP_KERAS"):
        vb.layers.DenseVariational(1, vb.posterior, vb.prior, activation=layer)


def test_variables_are_those_of_tensorflow():
    network = vb.build_network(2, hidden_units=(3,), activation="bump", seed=0)
    assert all(isinstance(variable, tf.Variable) for variable in variables_of(network))
    assert [tuple(v.shape) for v in variables_of(network)] == [tuple(w.shape) for w in network.get_weights()]
    assert isinstance(network.layers[0].posterior.loc, tf.Variable)


def test_what_a_factory_keeps_is_trained_and_counted():
    """Under Keras 3, only variables of its own are; those of TensorFlow are wrapped."""
    loc = tf.Variable(np.zeros(3, "float32"), name="loc")

    def posterior(kernel_size, bias_size=0, dtype=None):
        return lambda _: tfp.distributions.MultivariateNormalDiag(loc, 0.1 * tf.ones(3))

    network = keras.Sequential([keras.Input((2,)), vb.layers.DenseVariational(1, posterior, vb.prior, seed=0)])
    assert network.count_params() == 3
    x = np.random.default_rng(0).normal(size=(40, 2)).astype("float32")
    vb.fit(network, vb.likelihoods.Normal(0.1), x, x[:, :1] - x[:, 1:], epochs=40, learning_rate=0.1, seed=0, verbose=0)
    np.testing.assert_allclose(loc.numpy(), [1.0, -1.0, 0.0], atol=0.1)
    np.testing.assert_array_equal(network.get_weights()[0], loc.numpy())
