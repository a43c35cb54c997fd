"""Values that NumPy would read as numbers of another meaning, or refuse in words of its own."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np

__all__ = ["refuse_no_numbers"]

DATES, DURATIONS = (datetime.date, np.datetime64), (datetime.timedelta, np.timedelta64)

OBJECTS = ((DATES, "M"), (DURATIONS, "m"), (complex, "c"), ((str, bytes), "U"))
"""Types of objects, with the kind of dtype that they would have in an array of their own."""

PANDAS = {"Period": "M", "NAType": "NA"}
"""Classes of pandas, which need not be installed."""


def refuse_no_numbers(value: Any, argument: str) -> None:
    """Raise a ValueError with the way out if `value` is masked, sparse or ragged, or holds dates, text and the like.

    Other values pass, also some that are no arrays of numbers: `as_array` and `check_array` know them.
    """
    _refuse_containers(value, argument)
    for name in getattr(value, "columns", ()) if hasattr(value, "dtypes") else ():
        column = value[name]
        if getattr(column, "ndim", 1) == 1:  # names may repeat
            _refuse_dtype(np.asarray(column), f"column {name!r} of {argument}", argument)
    try:
        array = np.asarray(value)
    except Exception as error:  # any, of the class of the object; `as_array` knows the others
        if "inhomogeneous" in str(error):
            raise ValueError(f"{argument} must have rows of equal length; pad or drop those that differ") from error
        return
    _refuse_dtype(array, argument, argument)


def _refuse_containers(value: Any, argument: str) -> None:
    parts = value if isinstance(value, (list, tuple)) else ()
    if np.ma.is_masked(value) or any(np.ma.is_masked(part) for part in parts):
        raise ValueError(
            f"{argument} is a masked array with masked entries, whose mask would be lost; drop their rows, or fill "
            f"them by {argument}.filled(...)"
        )
    kind = type(value)
    if kind.__module__.startswith("scipy.sparse"):
        raise ValueError(f"{argument} is a sparse matrix; pass {argument}.toarray()")
    if kind.__name__ == "SparseTensor":
        raise ValueError(f"{argument} is a sparse tensor; pass tf.sparse.to_dense({argument})")
    if kind.__name__ == "RaggedTensor":
        raise ValueError(
            f"{argument} is a ragged tensor, but must have rows of equal length; pass {argument}.to_tensor()"
        )


def _refuse_dtype(array: np.ndarray, place: str, argument: str) -> None:
    """Raise a ValueError if the entries of an array are no real numbers; `place` is the array, or a column."""
    kind = _kind_of_objects(array) if array.dtype.kind == "O" else array.dtype.kind
    if kind in "biuf" and array.ndim == 0:
        raise ValueError(f"{place} must have rows, got a single number")
    if kind == "NA":
        raise ValueError(f"{place} has missing entries (pandas.NA); drop or fill them")
    if kind == "M":
        raise ValueError(
            f"{place} holds dates; convert them to numbers, such as days since a date: "
            f"(dates - np.datetime64('2000-01-01')) / np.timedelta64(1, 'D')"
        )
    if kind == "m":
        raise ValueError(f"{place} holds durations; convert them to numbers, such as hours: / np.timedelta64(1, 'h')")
    if kind == "c":
        raise ValueError(f"Complex data not supported: {place} must hold real numbers; pass real and imaginary parts")
    if array.dtype.names:
        raise ValueError(
            f"{place} is a structured array with the fields {', '.join(array.dtype.names)}; pass "
            f"numpy.lib.recfunctions.structured_to_unstructured({argument})"
        )
    if kind in "SU" and _is_number(array):
        raise ValueError(
            f"{place} must hold numbers, got text such as {_first(array)!r}; convert it, for instance with "
            f"{argument}.astype('float32')"
        )


def _kind_of_objects(array: np.ndarray) -> str:
    """Return the kind of the first of `OBJECTS` or `PANDAS` among the entries; "O" if there is none."""
    types = {type(entry): None for entry in array.ravel()}
    kinds = (next((k for t, k in OBJECTS if issubclass(kind, t)), PANDAS.get(kind.__name__)) for kind in types)
    return next((kind for kind in kinds if kind), "O")


def _first(array: np.ndarray) -> str:
    first = next(entry for entry in array.ravel() if isinstance(entry, (str, bytes)))
    return first.decode(errors="replace") if isinstance(first, bytes) else str(first)


def _is_number(array: np.ndarray) -> bool:
    """Whether the first text reads as a number; other texts are named with their place by whoever needs the numbers."""
    try:
        float(_first(array))
    except ValueError:
        return False
    return array.ndim > 0
