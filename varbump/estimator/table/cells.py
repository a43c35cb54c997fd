"""The cells of one column: what they are, by dtype and content, and which are missing."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Cells", "as_levels", "cells_of"]

KINDS = (
    ("number", (Real, Decimal, np.bool_)),
    ("text", (str,)),
    ("date", (datetime.date, np.datetime64)),
    ("duration", (datetime.timedelta, np.timedelta64)),
)
"""Kinds of objects, by type; a column holds objects of one kind."""

MISSING = ("NAType", "NaTType")
"""Classes of the missing values of pandas, which need not be installed."""

LARGEST_CODE = 2.0**53
"""Beyond this, a float64 stands for several whole numbers."""

DAY = np.timedelta64(1, "D")


class Cells(NamedTuple):
    """One column in one of a few forms.

    Attributes
    ----------
    kind : str
        "number", "date", "duration", "text"; "other" for anything else, such as lists; "none" if all are missing.
    values : ndarray (N,)
        float64 with nan for missing cells: numbers, or days (since 1970, in UTC, for dates). Objects with None for
        missing cells for "text" and "other".
    is_category : bool
        Whether the dtype says that the column is categorical.
    """

    kind: str
    values: np.ndarray
    is_category: bool = False


def cells_of(column: Any) -> Cells:
    """Read a column of a data frame or an array (N,)."""
    dtype = getattr(column, "dtype", None)
    is_category = str(dtype).lower().startswith(("category", "categorical", "enum"))
    if getattr(dtype, "tz", None) is not None:  # NumPy has dates in UTC only
        column = column.to_numpy(dtype="datetime64[us]")
    array = np.asarray(column)
    if array.dtype.kind in "fiub":
        return Cells("number", array.astype(np.float64), is_category)
    if array.dtype.kind in "mM":
        return Cells("date" if array.dtype.kind == "M" else "duration", _days(array), is_category)
    return _of_objects(array.astype(object), is_category)


def as_levels(cells: Cells) -> np.ndarray:
    """Return the cells as levels of a category (N,): words, numbers, or None for missing cells."""
    if cells.kind in ("text", "other"):
        return cells.values
    levels = np.empty(len(cells.values), dtype=object)
    for index, value in enumerate(cells.values.tolist()):
        if math.isnan(value):
            continue
        if cells.kind == "date":
            levels[index] = (np.datetime64(0, "s") + np.timedelta64(round(86400 * value), "s")).item().isoformat(" ")
        else:
            levels[index] = int(value) if value.is_integer() and abs(value) < LARGEST_CODE else value
    return levels


def _of_objects(objects: np.ndarray, is_category: bool) -> Cells:
    present = np.array([not _is_missing(value) for value in objects], dtype=bool)
    types = dict.fromkeys(map(type, objects[present]))
    kinds = {next((kind for kind, known in KINDS if issubclass(each, known)), "other") for each in types}
    kind = kinds.pop() if len(kinds) == 1 else "other" if kinds else "none"
    if kind in ("text", "other"):
        values = np.full(len(objects), None, dtype=object)
        values[present] = [str(value) for value in objects[present]] if kind == "text" else objects[present]
        return Cells(kind, values, is_category)
    numbers = np.full(len(objects), np.nan)
    if kind == "number":
        numbers[present] = [_float(value) for value in objects[present]]
    elif kind == "date":
        numbers[present] = _days(np.array([_in_utc(value) for value in objects[present]], dtype="datetime64[us]"))
    elif kind == "duration":
        numbers[present] = _days(np.array(objects[present].tolist(), dtype="timedelta64[us]"))
    return Cells(kind, numbers, is_category)


def _is_missing(value: Any) -> bool:
    if value is None or type(value).__name__ in MISSING:
        return True
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return bool(np.isnat(value))
    return isinstance(value, (float, np.floating)) and math.isnan(value)


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer that no float can hold
        return math.inf


def _in_utc(value: Any) -> Any:
    if getattr(value, "tzinfo", None) is not None:
        return value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    return value


def _days(array: np.ndarray) -> np.ndarray:
    """Days since 1970 of dates, or of durations, with nan for missing ones."""
    origin = np.datetime64(0, "D") if array.dtype.kind == "M" else np.timedelta64(0, "D")
    days = np.asarray((array - origin) / DAY, dtype=np.float64)
    return np.where(np.isnat(array), np.nan, days)
