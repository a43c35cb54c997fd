"""Two calls of fit are one run only if all that they compute is equal, parts of a user's own included."""

import functools
import json
import subprocess
import sys
import threading

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from own_parts import HeavyTails, Logistic, Slope, Twice

import varbump as vb
from varbump.core.keras import keras
from varbump.inference.vi.fingerprint import difference, fingerprint

tfd = tfp.distributions
FACTOR = 2.0


class Bare:
    """A likelihood without any configuration."""

    def __init__(self, scale, extra=None):
        self.scale, self.extra = scale, extra

    def nll(self, y, f):
        return tf.reduce_sum(tf.square((y - f) / self.scale), -1)


class Shift(keras.layers.Layer):
    """A layer that does not say what it is made with."""

    def __init__(self, by):
        super().__init__()
        self.by = by

    def call(self, inputs):
        return inputs + self.by


def normal_of(scale):
    def make(kernel_size, bias_size, dtype=None):
        size = kernel_size + bias_size
        return lambda _: tfd.Independent(tfd.Normal(tf.zeros(size, dtype), scale), 1)

    return make


def scaled(x):
    return FACTOR * x


def network(*middle, **options):
    options = {"make_posterior_fn": vb.posteriors.MeanFieldNormal(), "make_prior_fn": vb.prior, **options}
    inputs = keras.Input((2,))
    hidden = vb.layers.DenseVariational(3, seed=0, activation=options.pop("activation", None), **options)(inputs)
    for layer in middle:
        hidden = layer(hidden)
    return keras.Model(inputs, vb.layers.DenseVariational(1, seed=0, **options)(hidden))


def crossed(swapped):
    """A network in which one layer is subtracted from another, in one order or the other."""
    inputs = keras.Input((2,))
    one = vb.layers.DenseVariational(2, vb.posteriors.MeanFieldNormal(), vb.prior, seed=0)(inputs)
    two = vb.layers.DenseVariational(2, vb.posteriors.MeanFieldNormal(), vb.prior, seed=0)(one)
    return keras.Model(inputs, keras.layers.Subtract()([two, one] if swapped else [one, two]))


@functools.cache
def shared():
    return network()


def of_network(make):
    return lambda value: fingerprint(make(value), vb.likelihoods.Normal())


def of_likelihood(make):
    return lambda value: fingerprint(shared(), make(value))


def with_lambda(factor):
    return network(activation=lambda x: factor * x)


def with_code(kind):
    return network(activation=(lambda x: 2 * x) if kind else (lambda x: 3 * x))


def with_global(value):
    global FACTOR
    FACTOR = value
    return network(activation=scaled)


def own_class(power):
    """A class whose code differs, but not its name."""
    if power == 1:

        class Own(Bare):
            def nll(self, y, f):
                return tf.reduce_sum(tf.abs(y - f), -1)
    else:

        class Own(Bare):
            def nll(self, y, f):
                return tf.reduce_sum(tf.square(y - f), -1)

    return Own(1.0)


PAIRS = {
    "likelihood without configuration": (of_likelihood(Bare), 1.0, 2.0),
    "array in a likelihood": (of_likelihood(lambda v: Bare(1.0, np.arange(1000) + v)), 0, 1),
    "code of a class": (of_likelihood(own_class), 1, 2),
    "nested objects": (of_likelihood(lambda v: Bare(1.0, {"a": [Bare(v), {1, 2}]})), 3, 4),
    "partial": (of_likelihood(lambda v: Bare(1.0, functools.partial(scaled, x=v))), 3, 4),
    "layer without configuration": (of_network(lambda v: network(Shift(v))), 1.0, 2.0),
    "value in a lambda": (of_network(with_lambda), 1.0, 2.0),
    "code of a lambda": (of_network(with_code), False, True),
    "global of a function": (of_network(with_global), 2.0, 3.0),
    "prior as a function": (of_network(lambda v: network(make_prior_fn=normal_of(v))), 1.0, 2.0),
    "regularizer": (
        of_network(lambda v: network(keras.layers.Dense(3, kernel_regularizer=lambda w: v * tf.reduce_sum(w)))),
        1.0,
        2.0,
    ),
    "Lambda layer": (of_network(lambda v: network(keras.layers.Lambda(lambda x: v * x))), 1.0, 2.0),
    "order of inputs": (of_network(crossed), False, True),
    "registered parts": (
        of_network(lambda v: network(Slope(), Twice(3, Logistic(), HeavyTails(v), seed=0), make_prior_fn=HeavyTails())),
        3.0,
        4.0,
    ),
}


FAST = ("likelihood without configuration", "code of a class", "value in a lambda", "order of inputs")


@pytest.mark.parametrize(
    "case", [case if case in FAST else pytest.param(case, marks=pytest.mark.slow) for case in PAIRS]
)
def test_equal_parts_are_equal_and_others_are_not(case):
    make, one, other = PAIRS[case]
    first = make(one)
    assert difference(first, make(one)) is None
    assert difference(json.loads(json.dumps(first)), make(one)) is None
    assert difference(first, make(other)) is not None


def test_what_cannot_be_compared_is_refused_and_named():
    with pytest.raises(
        ValueError, match="checkpoint cannot tell this run from others: likelihood, its extra holds a lock"
    ):
        fingerprint(shared(), Bare(1.0, {"a": [threading.Lock()]}))


def test_a_checkpoint_of_another_likelihood_without_configuration_is_refused(tmp_path, monkeypatch):
    x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    runs = []
    monkeypatch.setattr(
        "varbump.inference.vi.loop.Loop.run", lambda *_: runs.append(1) or exec("raise KeyboardInterrupt")
    )

    def train(likelihood, **options):
        model = vb.build_network(1, hidden_units=(), seed=0)
        vb.fit(model, likelihood, x, x, epochs=2, checkpoint=tmp_path, seed=0, verbose=0, **options)

    class Own(vb.likelihoods.Likelihood):
        def __init__(self, scale):
            super().__init__()
            self._width = scale

        def get_config(self):
            return {}

        def distribution(self, f):
            return tfd.Normal(f, self._width)

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):  # the state at the start is written
            train(Own(1.0))
    with pytest.raises(ValueError, match="another run of fit: likelihood, its _width is not the one of before"):
        train(Own(2.0))
    assert len(runs) == 2


@pytest.mark.slow
def test_weights_that_are_not_trained_belong_to_a_run(tmp_path, monkeypatch):
    x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    monkeypatch.setattr("varbump.inference.vi.loop.Loop.run", lambda *_: exec("raise KeyboardInterrupt"))

    def train(bias):
        frozen = keras.layers.Dense(1, bias_initializer=keras.initializers.Constant(bias), trainable=False)
        model = keras.Sequential([keras.Input((1,)), frozen, vb.layers.DenseVariational(1, vb.posterior, vb.prior)])
        frozen.set_weights([np.ones((1, 1)), np.full(1, bias)])
        vb.fit(model, vb.likelihoods.Normal(), x, x, epochs=2, checkpoint=tmp_path, seed=0, verbose=0)

    with pytest.raises(KeyboardInterrupt):
        train(0.0)
    frozen_again = "another run of fit: (a fixed weight is not the one of before|.*bias_initializer)"
    with pytest.raises(ValueError, match=frozen_again):
        train(1.0)


@pytest.mark.slow
def test_another_process_finds_the_same():
    code = "import json, test_fingerprint as t; print(json.dumps({c: m(a) for c, (m, a, _) in t.PAIRS.items()}))"
    paths = json.dumps([__file__.rsplit("/", 1)[0], *sys.path])
    found = [
        subprocess.run(
            [sys.executable, "-c", f"import sys; sys.path[:0] = {paths}\n{code}"],
            env={"PYTHONHASHSEED": seed, "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout.splitlines()[-1]
        for seed in ("1", "2")
    ]
    assert json.loads(found[0]) == json.loads(found[1])
