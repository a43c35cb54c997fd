"""What is no network, or none that can be used here: a sentence that says what to use instead."""

import numpy as np
import pytest
import tensorflow as tf

import varbump as vb
from varbump.core.keras import keras

X = np.random.default_rng(0).normal(size=(20, 2)).astype("float32")
Y = X[:, :1]
NOISE = vb.likelihoods.Normal(0.3)

CALLS = {
    "fit": lambda network: vb.fit(network, NOISE, X, Y, verbose=0),
    "fit_ensemble": lambda network: vb.fit_ensemble(network, NOISE, X, Y, num_members=2, verbose=0),
    "predict_f": lambda network: vb.predict_f(network, X),
    "predict_y": lambda network: vb.predict_y(network, NOISE, X),
    "predict_bands": lambda network: vb.predict_bands(network, X),
    "evaluate": lambda network: vb.evaluate(network, X, Y, likelihood=NOISE),
}


def of_inputs(join):
    one, other, dense = keras.Input((2,)), keras.Input((2,)), keras.layers.Dense(1)
    return join(one, other, dense)


NETWORKS = {
    "two inputs": (lambda: of_inputs(lambda a, b, d: keras.Model([a, b], d(a) + d(b))), "2 input tensors; .*one x"),
    "two outputs": (lambda: of_inputs(lambda a, b, d: keras.Model(a, [d(a), d(a)])), "2 output tensors; .*Concaten"),
    "a dict": (lambda: of_inputs(lambda a, b, d: keras.Model(a, {"y": d(a)})), "returns a dict; it must return one"),
}


@pytest.mark.parametrize("call", CALLS)
def test_networks_of_another_kind(call):
    for make, words in NETWORKS.values():
        with pytest.raises(ValueError, match=f"^network .*{words}"):
            CALLS[call](make())


def test_networks_that_are_not_built_yet():
    """They are built by their first use."""
    network = keras.Sequential([keras.layers.Dense(1)])
    assert vb.predict_f(network, X, num_draws=2).shape == (2, 20, 1)


def test_files_and_classes():
    with pytest.raises(TypeError, match=r"must be a \w*keras.Model, got str; load .* varbump.load\('model.varbump'\)"):
        vb.fit("model.varbump", NOISE, X, Y)
    with pytest.raises(TypeError, match="got type; make one of the class Sequential"):
        vb.predict_f(keras.Sequential, X)
    with pytest.raises(TypeError, match=r"got 'poisson'; the one of that name is varbump.likelihoods.Poisson\(...\)"):
        vb.fit(vb.build_network(2, hidden_units=(), seed=0), "poisson", X, Y)


@pytest.mark.parametrize("call", CALLS)
def test_strategies(call):
    """Variables of a strategy cannot be exchanged for values, and its scope would do nothing."""
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    own = vb.build_network(2, hidden_units=(), posterior="mean_field", seed=0)
    with strategy.scope():
        mirrored = vb.build_network(2, hidden_units=(), posterior="mean_field", seed=0)
        with pytest.raises(ValueError, match="inside the scope of a MirroredStrategy, .*; call this outside"):
            CALLS[call](own)
    with pytest.raises(ValueError, match="network was built inside the scope of a strategy .*; build it outside"):
        CALLS[call](mirrored)
