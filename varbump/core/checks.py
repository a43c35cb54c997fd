"""Checks of numbers and arrays, whose errors name the argument and what is wrong with it."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np

from varbump.core.array_like import as_array, check_array_like, detached
from varbump.core.numeric import refuse_no_numbers

__all__ = [
    "MAX_DRAWS",
    "check_array",
    "check_count",
    "check_draws",
    "check_number",
    "check_rows_match",
    "check_shares",
    "interval_tails",
    "intervals",
]


def check_count(value: Any, argument: str, minimum: int = 1) -> int:
    """Return `value` as an int of at least `minimum`, or raise a ValueError that names the argument."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < minimum:
        raise ValueError(f"{argument} must be an integer of at least {minimum}, got {value!r}")
    return int(value)


MAX_DRAWS = 1_000_000
"""Largest number of draws: their Monte Carlo error is a thousandth of an sd, and more would fill the memory."""


def check_draws(value: Any, argument: str = "num_draws", minimum: int = 1) -> int:
    """Return a number of draws as an int from `minimum` to a million, or raise a ValueError that names the argument."""
    count = check_count(value, argument, minimum)
    if count > MAX_DRAWS:
        raise ValueError(
            f"{argument} must be at most {MAX_DRAWS:,}, got {count:,}; for more, draw again with other seeds"
        )
    return count


def check_array(value: Any, argument: str, dtype: str) -> np.ndarray:
    """Return `value` as a finite floating array with rows and columns; a 1-d array becomes one column.

    Parameters
    ----------
    value : array-like (N,) or (N, ...)
        NumPy array, TensorFlow tensor, data frame or list; integers are converted.
    argument : str
        Name of the argument, for the message.
    dtype : str
        Floating type of the result.

    Raises
    ------
    TypeError
        If it is not an array, such as a tf.data.Dataset, a generator or the name of a file.
    ValueError
        If there are no rows, if entries are not real numbers or are masked, or if any is nan or infinite.

    Warns
    -----
    UserWarning
        If `dtype` is too coarse for a column, so that distinct values become equal.
    """
    check_array_like(value, argument)
    value = detached(value)
    refuse_no_numbers(value, argument)
    array = as_array(value, argument)
    if array.dtype.kind == "O" and hasattr(value, "columns"):  # a data frame of nullable numbers, or of several types
        with contextlib.suppress(TypeError, ValueError):
            array = array.astype(float)
    if array.dtype.kind not in "fiub":
        raise ValueError(_no_numbers(array, argument))
    if array.ndim == 0:
        raise ValueError(f"{argument} must have rows, got a single number")
    if array.ndim == 1:
        array = array[:, None]
    if array.shape[0] == 0:
        raise ValueError(f"{argument} has no rows (shape {array.shape})")
    if 0 in array.shape:
        raise ValueError(f"{argument} has no columns (shape {array.shape})")
    given = array
    with np.errstate(over="ignore"):
        array = array.astype(dtype)
    bad = ~np.isfinite(array)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"{argument} must be finite in {dtype}, but {bad.sum():,} of its {bad.size:,} entries "
            f"are nan or infinite, the first in row {where[0]}, column {where[1]}"
        )
    _warn_of_merged_values(given, array, argument)
    return array


FEW_VALUES = 256
"""A column that keeps more distinct values than this has lost nothing that matters to a fit."""

ROUNDING = 1e-12
"""Relative difference below which two values count as one value computed in two ways."""

NEGLIGIBLE = 1e-7
"""Values this small relative to the largest of their column, such as 1e-50 beside 1, are zero for a fit."""


def _warn_of_merged_values(given: np.ndarray, array: np.ndarray, argument: str) -> None:
    """Warn about columns left with few distinct values, if the conversion merged values in most of their rows."""
    if np.can_cast(given.dtype, array.dtype):
        return
    columns, narrow = given.reshape(len(given), -1), array.reshape(len(given), -1)
    stride = -(-len(narrow) // (4 * FEW_VALUES))
    suspects = _num_distinct(narrow[::stride]) <= FEW_VALUES  # a sample of rows clears most columns
    if stride == 1:
        suspects &= _num_distinct(narrow) < _num_distinct(columns)
    for index in np.flatnonzero(suspects):
        values, counts = np.unique(columns[:, index], return_counts=True)
        kept, of_kept = np.unique(values.astype(array.dtype), return_inverse=True)
        apart = np.diff(values) > (ROUNDING * np.abs(values[1:]) if values.dtype.kind == "f" else 0)
        sizes = np.abs(values.astype(float))
        apart &= np.maximum(sizes[1:], sizes[:-1]) > NEGLIGIBLE * sizes.max()
        merges = np.zeros(len(kept), bool)
        merges[of_kept[1:][apart & (np.diff(of_kept) == 0)]] = True
        if len(kept) <= FEW_VALUES and 2 * counts[merges[of_kept]].sum() > len(given):
            remedy = ', or build the network with dtype="float64"' if array.dtype == np.float32 else ""
            warnings.warn(
                f"column {index} of {argument} has {len(values):,} different values, of which {array.dtype} can tell "
                f"only {len(kept):,} apart; subtract its mean{remedy}",
                UserWarning,
                stacklevel=2,
            )


def _num_distinct(columns: np.ndarray) -> np.ndarray:
    """Number of distinct values in each column."""
    return 1 + np.count_nonzero(np.diff(np.sort(columns, axis=0), axis=0), axis=0)


def check_rows_match(x: np.ndarray, y: np.ndarray, name_x: str = "x", name_y: str = "y") -> None:
    """Raise a ValueError unless both have the same number of rows."""
    if len(x) != len(y):
        raise ValueError(f"{name_x} has {len(x):,} rows but {name_y} has {len(y):,}; they must be equal")


def _no_numbers(array: np.ndarray, argument: str) -> str:
    """Message that names the first entry that is not a number, or the dtype."""
    if array.dtype.kind in "OSU":
        for where in np.ndindex(array.shape):
            try:
                float(array[where])
            except (TypeError, ValueError):
                at = ", ".join(f"{axis} {index}" for axis, index in zip(("row", "column"), where, strict=False))
                return f"{argument} must hold numbers, but {at} is {str(array[where])!r:.40}"
    return (
        f"{argument} must hold numbers, got dtype {array.dtype}; convert it, for instance with "
        f"{argument}.astype('float32')"
    )


def check_number(value: Any, argument: str, *, minimum: float = 0.0, strict: bool = False) -> float:
    """Return `value` as a finite float of at least `minimum`, above it if `strict`, or raise a ValueError."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or not np.isfinite(value) or value < minimum or (strict and value == minimum):
        raise ValueError(
            f"{argument} must be a finite number {'above' if strict else 'of at least'} {minimum:g}, got {value!r}"
        )
    return float(value)


def check_shares(values: Any, argument: str) -> np.ndarray:
    """Return one or several numbers between 0 and 1 as an array (L,), or raise a ValueError."""
    try:
        array = np.atleast_1d(np.asarray(values, dtype=float))
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.ndim != 1 or not array.size or not ((array > 0.0) & (array < 1.0)).all():
        percent = " (of 95 % is 0.95)" if array.size and (array > 1.0).all() and (array < 100.0).all() else ""
        raise ValueError(f"{argument} must be numbers between 0 and 1{percent}, such as (0.5, 0.95), got {values!r}")
    return array


def interval_tails(coverage: Any) -> list[float]:
    """Quantile levels of the ends of an equal-tailed interval; a ValueError unless `coverage` is between 0 and 1."""
    if not isinstance(coverage, Real) or not 0.0 < float(coverage) < 1.0:
        raise ValueError(f"coverage must lie between 0 and 1, such as 0.95, got {coverage!r}")
    return [(1.0 - float(coverage)) / 2.0, (1.0 + float(coverage)) / 2.0]


def intervals(coverage: Any, quantiles: Callable[[list[float]], np.ndarray]) -> Any:
    """Ends of equal-tailed intervals from a function that gives quantiles (N, L, ...) at levels (L,).

    Returns
    -------
    ndarray (N, 2, ...), or dict of float to ndarray (N, 2, ...)
        The latter, by coverage, if `coverage` is a sequence.
    """
    if np.ndim(coverage) == 0:
        return quantiles(interval_tails(coverage))
    levels = check_shares(coverage, "coverage").tolist()
    ends = quantiles([tail for level in levels for tail in interval_tails(level)])
    return {level: ends[:, 2 * index : 2 * index + 2] for index, level in enumerate(levels)}
