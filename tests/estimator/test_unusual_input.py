"""Unusual inputs of fit and of the regressor: each gives a right result or one sentence that names the argument."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import tensorflow as tf

import varbump as vb

pytestmark = pytest.mark.slow

N = 12
GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(N, 2)).astype("float32")
Y = (X @ [1.0, -0.5] + 0.1 * GENERATOR.normal(size=N)).astype("float32")
INDEX = list("lkjihgfedcba")
LIMIT = 300
"""Longest sentence."""


def fitted(x=X, y=Y, **options):
    """First weights after one epoch, and functions at the rows."""
    num_features = np.shape(x)[1] if np.ndim(x) == 2 else 1
    num_targets = np.shape(y)[1] if np.ndim(y) == 2 else 1
    network = vb.build_network(num_features, hidden_units=(), num_outputs=num_targets, seed=0)
    options = {"epochs": 1, "batch_size": 6, "seed": 0, "verbose": 0, **options}
    history = vb.fit(network, vb.likelihoods.Normal(0.5), x, y, **options)
    assert np.isfinite(history.history["loss"]).all()
    return np.concatenate([w.ravel() for w in network.get_weights()])


def regressed(X=X, y=Y, **options):
    """Predictions after one epoch."""
    model = vb.VariationalRegressor(
        (), likelihood="normal", embedding=None, n_members=1, max_iter=1, n_draws=10, random_state=0
    )
    mean, std = model.fit(X, y, **options).predict(X, return_std=True)
    assert np.isfinite(mean).all()
    assert (std > 0).all()
    return np.ravel(mean)


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def padded(array):
    """The same numbers, in every second row and column of a larger array."""
    larger = np.full([2 * size for size in array.shape], np.nan, array.dtype)
    larger[tuple(slice(None, None, 2) for _ in array.shape)] = array
    return larger[tuple(slice(None, None, 2) for _ in array.shape)]


FORMS = {
    "float64": lambda a: a.astype("float64"),
    "long doubles": lambda a: a.astype(np.longdouble),
    "big-endian": lambda a: a.astype(">f4"),
    "Fortran order": np.asfortranarray,
    "read-only": read_only,
    "not contiguous": padded,
    "negative strides": lambda a: a[::-1].copy()[::-1],
    "list": lambda a: a.tolist(),
    "tuple": lambda a: tuple(map(tuple, a.tolist())) if a.ndim == 2 else tuple(a.tolist()),
    "list of arrays": list,
    "masked nowhere": lambda a: np.ma.array(a, mask=False),
    "tensor": tf.constant,
    "variable": tf.Variable,
    "pandas with an index": lambda a: (pd.DataFrame if a.ndim == 2 else pd.Series)(a, index=INDEX),
    "nullable pandas": lambda a: (pd.DataFrame if a.ndim == 2 else pd.Series)(a).astype("Float32"),
}


@pytest.mark.filterwarnings("ignore:X has feature names")
@pytest.mark.parametrize("train", [fitted, regressed])
@pytest.mark.parametrize("form", FORMS)
def test_the_form_of_the_numbers_does_not_matter(form, train):
    convert = FORMS[form]
    expected = train()
    np.testing.assert_array_equal(train(convert(X), Y), expected)
    np.testing.assert_array_equal(train(X, convert(Y)), expected)


ROUNDED = {
    "float16": lambda a: a.astype("float16"),
    "integers": lambda a: np.round(10 * a).astype("int8"),
    "unsigned": lambda a: np.round(3 * a + 8).astype("uint64"),
    "booleans": lambda a: a > 0,
}


@pytest.mark.parametrize("train", [fitted, regressed])
@pytest.mark.parametrize("form", ROUNDED)
def test_other_types_are_the_floats_that_they_stand_for(form, train):
    x, y = ROUNDED[form](X), ROUNDED[form](Y)
    np.testing.assert_array_equal(train(x, y), train(x.astype("float32"), y.astype("float32")))


with np.errstate(over="ignore"):
    RIGHT = {
        "a column of zeros": (X * [1.0, 0.0], Y),
        "a constant column": (X * [1.0, 0.0] + [0.0, 7.0], Y),
        "duplicate columns": (X[:, [0, 0]], Y),
        "constant y": (X, np.full(N, 3.0)),
        "y of zeros": (X, np.zeros(N)),
        "duplicate rows": (X[[0] * N], Y[[0] * N]),
        "equal x, different y": (X[[0] * N], Y),
        "a large offset of y": (X, Y.astype(float) + 1e5),
        "a tiny scale of y": (X, 1e-30 * Y.astype(float)),
        "subnormal x": (1e-40 * X.astype(float), Y),
        "a column of one number but for one row": (np.eye(N)[:, :2], Y),
        "more columns than rows": (GENERATOR.normal(size=(N, 20)), Y),
        "two targets": (X, np.stack([Y, -Y], 1)),
        "y with a column axis": (X, Y[:, None]),
        "two rows": (X[:2], Y[:2]),
    }


@pytest.mark.parametrize("train", [fitted, regressed])
@pytest.mark.parametrize("case", RIGHT)
def test_unusual_numbers_are_fitted(case, train):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the fit is worse than a constant")  # of one epoch
        warnings.filterwarnings("ignore", ".*can tell only")
        warnings.filterwarnings("ignore", "A column-vector y was passed")
        assert np.isfinite(train(*RIGHT[case])).all()


@pytest.mark.parametrize("train", [fitted, regressed])
@pytest.mark.parametrize("weights", [np.ones(N), np.full(N, 1e-3), np.full(N, 1e6), np.r_[np.zeros(6), np.ones(6)]])
def test_unusual_weights_are_fitted(weights, train):
    assert np.isfinite(train(sample_weight=weights)).all()


BAD = np.full(N, np.nan)
REFUSED = {
    "nan in x": ({"x": X * np.r_[np.nan, np.ones(N - 1)][:, None]}, "x"),
    "inf in x": ({"x": X * np.r_[np.inf, np.ones(N - 1)][:, None]}, "x"),
    "nan in y": ({"y": BAD}, "y"),
    "inf in y": ({"y": np.full(N, -np.inf)}, "y"),
    "no rows": ({"x": X[:0], "y": Y[:0]}, "x"),
    "no columns": ({"x": X[:, :0]}, "x"),
    "x with three axes": ({"x": X[:, :, None]}, "x"),
    "y with three axes": ({"y": Y[:, None, None]}, "y"),
    "fewer rows of y": ({"y": Y[1:]}, "y"),
    "a single number": ({"y": 3.0}, "y"),
    "masked x": ({"x": np.ma.array(X, mask=X > 0)}, "x"),
    "masked y": ({"y": np.ma.array(Y, mask=Y > 0)}, "y"),
    "masked weights": ({"sample_weight": np.ma.array(np.ones(N), mask=Y > 0)}, "sample_weight"),
    "dates": ({"x": np.arange(2 * N).reshape(N, 2).astype("datetime64[D]")}, "x"),
    "durations": ({"y": np.arange(N).astype("timedelta64[s]")}, "y"),
    "complex x": ({"x": X + 0j}, "x"),
    "complex y": ({"y": Y + 0j}, "y"),
    "digits": ({"y": np.array(list("123456") * 2)}, "y"),
    "None among objects": ({"y": np.array([*Y[1:], None], object)}, "y"),
    "a structured array": ({"x": np.zeros(N, [("a", "f4"), ("b", "f4")])}, "x"),
    "a sparse matrix": ({"x": scipy.sparse.csr_matrix(X)}, "x"),
    "sparse y": ({"y": scipy.sparse.csr_matrix(Y[:, None])}, "y"),
    "ragged lists": ({"x": [[1.0, 2.0], [3.0]] * 6}, "x"),
    "a ragged tensor": ({"x": tf.ragged.constant([[1.0, 2.0], [3.0]] * 6)}, "x"),
    "negative weights": ({"sample_weight": -np.ones(N)}, "sample_weight"),
    "one negative weight": ({"sample_weight": np.r_[-1.0, np.ones(N - 1)]}, "sample_weight"),
    "weights all zero": ({"sample_weight": np.zeros(N)}, "sample_weight"),
    "nan weights": ({"sample_weight": BAD}, "sample_weight"),
    "infinite weights": ({"sample_weight": np.full(N, np.inf)}, "sample_weight"),
    "too few weights": ({"sample_weight": np.ones(N - 1)}, "sample_weight"),
    "weights with two columns": ({"sample_weight": np.ones((N, 2))}, "sample_weight"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_fit_refuses_with_a_sentence(case):
    changed, argument = REFUSED[case]
    network = vb.build_network(2, hidden_units=(), seed=0)
    before = network.get_weights()
    with pytest.raises(ValueError, match=rf"\b{argument}\b") as error:
        vb.fit(network, vb.likelihoods.Normal(0.5), **{"x": X, "y": Y, "epochs": 1, "verbose": 0, **changed})
    assert len(str(error.value)) < LIMIT
    for one, other in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("case", REFUSED)
def test_the_regressor_refuses_with_a_sentence(case):
    changed, argument = REFUSED[case]
    changed = {{"x": "X"}.get(name, name): value for name, value in changed.items()}
    if case == "nan in x":
        assert np.isfinite(regressed(**changed)).all()  # a missing cell
        return
    words = {"x": r"\bX\b|[Ff]ound array|features|samples|dim", "y": r"\by\b|samples|dim"}.get(argument, argument)
    with pytest.raises((TypeError, ValueError), match=words):  # some of them are scikit-learn's
        vb.VariationalRegressor((), likelihood="normal", embedding=None, max_iter=1).fit(**{"X": X, "y": Y, **changed})
