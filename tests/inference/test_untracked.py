"""Trainable variables that Keras does not find are trained, or named and refused."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import varbump as vb
from varbump.core.keras import keras

tfd = tfp.distributions
X = np.linspace(-1, 1, 40, dtype="float32")[:, None]
Y = 2.0 * X
NORMAL = vb.likelihoods.Normal(0.1)


def closure(kernel_size, bias_size=0, dtype=None):
    loc = tf.Variable(tf.zeros(kernel_size + bias_size, dtype), name="loc")
    raw = tf.Variable(tf.fill([kernel_size + bias_size], tf.constant(-3.0, dtype)), name="raw")
    return lambda inputs: tfd.Independent(tfd.Normal(loc, tf.nn.softplus(raw)), 1)


class Module(tf.Module):
    def __init__(self, size, dtype):
        super().__init__()
        self.loc, self.raw = tf.Variable(tf.zeros(size, dtype)), tf.Variable(tf.fill([size], tf.constant(-3.0, dtype)))

    def __call__(self, inputs):
        return tfd.MultivariateNormalDiag(self.loc, tf.nn.softplus(self.raw))


def module(kernel_size, bias_size=0, dtype=None):
    return Module(kernel_size + bias_size, dtype)


def module_in_a_closure(kernel_size, bias_size=0, dtype=None):
    made = Module(kernel_size + bias_size, dtype)
    return lambda inputs: made(inputs)


def distribution(kernel_size, bias_size=0, dtype=None):
    loc = tf.Variable(tf.zeros(kernel_size + bias_size, dtype))
    scale = tfp.util.TransformedVariable(tf.fill(loc.shape, tf.constant(0.05, dtype)), tfp.bijectors.Softplus())
    made = tfd.MultivariateNormalDiag(loc, scale)
    return lambda inputs: made


SHARED = tf.Variable(tf.zeros(2))


def elsewhere(kernel_size, bias_size=0, dtype=None):
    SHARED.assign([0.0, 0.0])
    raw = tf.Variable(tf.fill([2], tf.constant(-3.0, dtype)))
    return lambda inputs: tfd.MultivariateNormalDiag(tf.identity(SHARED), tf.nn.softplus(raw))


FACTORIES = [closure, module, module_in_a_closure, distribution, elsewhere]


def network_of(factory, prior=vb.prior):
    return vb.build_network(1, hidden_units=(), make_posterior_fn=factory, make_prior_fn=prior)


@pytest.mark.parametrize("factory", FACTORIES)
def test_variables_of_a_factory_are_weights_of_the_layer(factory):
    network = network_of(factory)
    assert [tuple(v.shape) for v in network.trainable_variables] == [(2,), (2,)]
    # a prior that keeps variables to itself is learned, as in TFP
    assert len(network_of(vb.posterior, factory).trainable_variables) == 3 + 2


@pytest.mark.slow
@pytest.mark.parametrize("factory", FACTORIES)
def test_they_are_trained(factory):
    network = network_of(factory)
    history = vb.fit(network, NORMAL, X, Y, epochs=300, learning_rate=0.05, seed=0, verbose=0)
    assert history.history["nll"][-1] < history.history["nll"][0] - 1.0
    loc = next(v.numpy() for v in network.trainable_variables if v.numpy().max() > 1.0)
    # the mean of the exact posterior, from 40 points with noise 0.1 and the prior N(0, 1): 2 / (1 + 0.01 / sum x^2)
    np.testing.assert_allclose(loc, [2.0, 0.0], atol=0.02)
    assert vb.health_report(network, NORMAL, X, Y, num_draws=5).layers[0].num_weights == 2


def hidden_in_a_layer():
    shift = tf.Variable(1.0, name="shift")
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    network.add(keras.layers.Lambda(lambda t: t + tf.identity(shift)))
    return network, NORMAL


def hidden_in_a_likelihood():
    raw = tf.Variable(0.0, name="raw")

    class Own(vb.likelihoods.Likelihood):
        def distribution(self, f):
            return tfd.Normal(f, tf.nn.softplus(raw))

    return keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]), Own()


@pytest.mark.parametrize("make", [hidden_in_a_layer, hidden_in_a_likelihood])
@pytest.mark.filterwarnings("ignore")
def test_variables_that_cannot_be_found_in_advance_are_named(make):
    network, likelihood = make()
    with pytest.raises(ValueError, match="fit would not train: '(shift|raw):0'"):
        vb.fit(network, likelihood, X, Y, epochs=1, verbose=0)


def frozen():
    network = network_of(vb.posterior)
    network.trainable = False
    return network


EMPTY = {
    "frozen": (frozen, "all its weights are frozen"),
    "no weights": (lambda: keras.Sequential([keras.Input((1,)), keras.layers.ReLU()]), "it has no weights"),
}


@pytest.mark.parametrize("case", EMPTY)
def test_a_network_without_anything_to_train_is_refused(case):
    make, reason = EMPTY[case]
    with pytest.raises(ValueError, match=f"network has nothing to train: {reason}"):
        vb.fit(make(), NORMAL, X, Y, epochs=1, verbose=0)


@pytest.mark.slow
def test_reports_list_frozen_layers_too():
    assert [layer.num_trainable for layer in vb.parameter_report(frozen()).layers] == [0]
    assert len(vb.health_report(frozen(), NORMAL, X, Y, num_draws=2).layers) == 1
