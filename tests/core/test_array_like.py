"""What is no array: a sentence that says what was passed, and what to pass instead."""

import pathlib

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import varbump as vb
from varbump.core.array_like import as_array
from varbump.core.keras import keras

X = np.random.default_rng(0).normal(size=(20, 2)).astype("float32")
Y = X[:, :1]


class FromTorch:
    """A tensor as in PyTorch: NumPy reads it only without its gradient and on the host."""

    def __init__(self, values, free=False):
        self.values, self.free = values, free

    def detach(self):
        return FromTorch(self.values, free=True)

    def cpu(self):
        return self

    def __array__(self, dtype=None, copy=None):
        if not self.free:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        return np.asarray(self.values, dtype)


def rows():
    yield from X


NO_ARRAYS = {
    "dataset": (lambda: tf.data.Dataset.from_tensor_slices((X, Y)), "got a tf.data.Dataset; collect its rows"),
    "batches": (lambda: tf.data.Dataset.from_tensor_slices((X, Y)).batch(4), "got a tf.data.Dataset; collect its rows"),
    "generator": (rows, r"got a generator; .* only once, .*np.array\(list\({name}\)\)"),
    "iterator": (lambda: iter([1.0]), r"got a list_iterator; .* np.array\(list\({name}\)\)"),
    "zip": (lambda: zip(X, Y, strict=True), "got a zip; .*only once"),
    "text": (lambda: "data.csv", "got 'data.csv'; read the file first, for instance with pandas.read_csv"),
    "bytes": (lambda: b"data.csv", "got b'data.csv'; read the file first"),
    "path": (lambda: pathlib.PurePosixPath("data.csv"), "got PurePosixPath.*; read the file first"),
    "dict": (lambda: {"a": [1.0]}, r"got a dict; .*pandas.DataFrame\({name}\)"),
    "set": (lambda: {1.0, 2.0}, "got a set; pass a NumPy array"),
    "model": (lambda: keras.Sequential(), "got a Sequential; pass a NumPy array"),
    "function": (lambda: len, "got a builtin_function_or_method; pass a NumPy array"),
}


@pytest.fixture(scope="module")
def network():
    return vb.build_network(2, hidden_units=(), posterior="mean_field", seed=0)


@pytest.mark.parametrize("name", NO_ARRAYS)
def test_functions(network, name):
    make, words = NO_ARRAYS[name]
    noise = vb.likelihoods.Normal(0.3)
    calls = {
        "x": [
            lambda: vb.fit(network, noise, make(), Y, verbose=0),
            lambda: vb.fit_ensemble(network, noise, make(), Y, num_members=2, verbose=0),
            lambda: vb.predict_f(network, make()),
            lambda: vb.predict_y(network, noise, make()),
            lambda: vb.predict_bands(network, make()),
            lambda: vb.evaluate(network, make(), Y, likelihood=noise),
        ],
        "y": [
            lambda: vb.fit(network, noise, X, make(), verbose=0),
            lambda: vb.fit_ensemble(network, noise, X, make(), num_members=2, verbose=0),
            lambda: vb.evaluate(network, X, make(), likelihood=noise),
        ],
    }
    for argument, each in calls.items():
        for call in each:
            expected = f"^{argument} must be an array with a row for each observation, {words.format(name=argument)}"
            with pytest.raises(TypeError, match=expected) as caught:
                call()
            assert "\n" not in str(caught.value)
            assert len(str(caught.value)) < 250


@pytest.mark.parametrize("name", NO_ARRAYS)
def test_the_regressor(name):
    make, words = NO_ARRAYS[name]
    with pytest.raises(TypeError, match=f"^X must be an array .*{words.format(name='X')}"):
        vb.VariationalRegressor().fit(make(), Y[:, 0])
    with pytest.raises(TypeError, match=f"^y must be an array .*{words.format(name='y')}"):
        vb.VariationalRegressor().fit(X, make())
    with pytest.raises(TypeError, match="^X must be an array .*got None"):
        vb.VariationalRegressor().fit(None, Y[:, 0])


def test_nothing():
    with pytest.raises(TypeError, match="^x must be an array with a row for each observation, got None; pass a"):
        as_array(None, "x")


def test_arrays_of_other_libraries():
    for value in (
        X.tolist(),
        tf.constant(X),
        tf.Variable(X),
        pd.DataFrame(X),
        FromTorch(X),
        list(X),
        tuple(map(tuple, X)),
    ):
        np.testing.assert_array_equal(as_array(value, "x"), X)


def test_words_and_rows_that_differ_in_length(network):
    with pytest.raises(ValueError, match="x must hold numbers, but row 0 is 'a'"):
        vb.predict_f(network, ["a", "b"])
    with pytest.raises(ValueError, match="x must hold numbers, but row 1, column 0 is 'red'"):
        vb.predict_f(network, pd.DataFrame({"colour": [1.0, "red"], "size": [1.0, 2.0]}))
    with pytest.raises(ValueError, match="x must have rows of equal length"):
        vb.predict_f(network, [[1.0, 2.0], [3.0]])
    with pytest.raises(ValueError, match="x must be an array of numbers, got a KerasTensor that NumPy cannot read"):
        vb.predict_f(network, keras.Input((2,)))
