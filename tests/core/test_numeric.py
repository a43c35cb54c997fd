"""Values that NumPy would misread are refused with the way out; all arrays of real numbers pass."""

import array as standard
import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import tensorflow as tf

import varbump as vb
from varbump.core.checks import check_array
from varbump.core.numeric import refuse_no_numbers

F = np.linspace(-1.0, 1.0, 6)
MASK = np.arange(6) == 2
DAYS = np.arange(6).astype("datetime64[D]")

REFUSED = {
    "masked": (np.ma.array(F, mask=MASK), r"masked entries, whose mask would be lost; drop their rows, or .*filled"),
    "list of masked rows": ([np.ma.array([1.0, 2.0], mask=[False, True])] * 6, "masked entries"),
    "list with a masked entry": ([1.0, np.ma.masked, 2.0], "masked entries"),
    "dates": (DAYS, "holds dates; convert them to numbers, such as days since a date"),
    "dates as objects": (DAYS.astype(object), "holds dates"),
    "list of dates": (list(DAYS), "holds dates"),
    "NumPy dates as objects": (np.array([*DAYS, None], object)[:6], "holds dates"),
    "series of dates": (pd.Series(pd.date_range("2020", periods=6)), "holds dates"),
    "dates with a zone": (pd.Series(pd.date_range("2020", periods=6, tz="UTC")), "holds dates"),
    "periods": (pd.Series(pd.period_range("2020", periods=6)), "holds dates"),
    "a column of dates": (pd.DataFrame({"a": F, "when": DAYS}), "column 'when' of x holds dates"),
    "durations": (np.arange(6).astype("timedelta64[s]"), "holds durations"),
    "durations as objects": ([datetime.timedelta(seconds=1)] * 6, "holds durations"),
    "complex": (F + 0j, "Complex data not supported: x must hold real numbers"),
    "complex objects": (np.array([1 + 1j] * 6, object), "Complex data not supported"),
    "a structured array": (np.zeros(6, [("a", "f4"), ("b", "f4")]), "with the fields a, b; pass .*unstructured"),
    "a record array": (np.rec.fromarrays([F, F], names="a,b"), "with the fields a, b"),
    "a sparse matrix": (scipy.sparse.csr_matrix(F[:, None]), r"is a sparse matrix; pass x.toarray\(\)"),
    "a sparse array": (scipy.sparse.coo_array(F[:, None]), "is a sparse matrix"),
    "a sparse tensor": (tf.sparse.from_dense(F[:, None]), "tf.sparse.to_dense"),
    "a ragged tensor": (tf.ragged.constant([[1.0], [2.0, 3.0]]), r"equal length; pass x.to_tensor\(\)"),
    "ragged lists": ([[1.0, 2.0], [3.0]], "rows of equal length"),
    "digits": (np.array(list("123456")), "must hold numbers, got text such as '1'; convert it"),
    "digits as bytes": (np.array([b"1"] * 6), "text such as '1'"),
    "digits as objects": (np.array([1.0, "2", 3.0], object), "text such as '2'"),
    "digits as tensor": (tf.constant(list("123456")), "text such as '1'"),
    "missing entries of pandas": (pd.Series([1, pd.NA, 2], dtype=object), "missing entries"),
    "a number": (3.0, "must have rows, got a single number"),
}

TAKEN = {
    "masked nowhere": np.ma.array(F, mask=False),
    "a list": list(F),
    "a tuple of tuples": tuple((v,) for v in F),
    "a big-endian array": F.astype(">f8"),
    "long doubles": F.astype(np.longdouble),
    "half precision": F.astype("float16"),
    "a view backwards": F[::-1][::-1],
    "every second entry": np.repeat(F, 2)[::2],
    "Fortran order": np.asfortranarray(np.stack([F, F], 1))[:, :1],
    "a tensor": tf.constant(F),
    "a variable": tf.Variable(F),
    "a series": pd.Series(F, index=list("fedcba")),
    "a data frame": pd.DataFrame({"a": F}, index=[5, 4, 3, 2, 1, 0]),
    "nullable floats": pd.Series(F, dtype="Float64"),
    "a data frame of nullable floats": pd.DataFrame({"a": F, "b": F}).astype("Float64"),
    "a data frame of several types": pd.DataFrame({"a": F, "b": F > 0}),
    "a sparse column of pandas": pd.arrays.SparseArray(F),
    "an array of the standard library": standard.array("d", F),
    "a memory view": memoryview(F),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_the_way_out(name):
    value, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        check_array(value, "x", "float32")


@pytest.mark.parametrize("name", TAKEN)
def test_taken_as_the_numbers_they_are(name):
    # float16 keeps 11 bits
    np.testing.assert_allclose(check_array(TAKEN[name], "x", "float32")[:, 0], F, rtol=1e-3, atol=1e-7)


def test_numbers_among_objects_are_left_to_others():
    for value in ([Decimal("1.5")], [True, 2], np.array([1.0, None], object), [2**70]):
        refuse_no_numbers(value, "x")
    np.testing.assert_array_equal(check_array([True, False], "x", "float32"), [[1.0], [0.0]])


@pytest.mark.parametrize("name", [name for name in REFUSED if name not in ("a number", "a column of dates")])
def test_the_regressor_refuses_them_too(name):
    value, _ = REFUSED[name]
    rows = np.zeros(6)
    model = vb.VariationalRegressor()
    for X, y, argument in ((value, rows, "X"), (rows[:, None], value, "y")):
        with pytest.raises(ValueError, match=rf"(^|of |: ){argument} ") as error:
            model.fit(X, y)
        assert "\n" not in str(error.value)


def test_weights_of_the_regressor_keep_no_secret_mask():
    with pytest.raises(ValueError, match="sample_weight is a masked array"):
        vb.VariationalRegressor().fit(F[:, None], F, sample_weight=np.ma.array(np.ones(6), mask=MASK))
