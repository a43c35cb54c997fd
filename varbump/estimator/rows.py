"""The rows of a table as a weighted set: what a fit depends on, and all that it depends on."""

from __future__ import annotations

from typing import Any

import numpy as np

from varbump.core.checks import check_array

__all__ = ["check_range", "check_targets", "check_weights", "merged", "name_column", "spacing"]

LARGEST = 1e150
"""Beyond it, and below its inverse, squares of float64 overflow or vanish."""


def name_column(X: Any, error: Exception) -> None:
    """Raise a ValueError that names the column of a data frame that has entries which are no numbers, if one has."""
    for name in getattr(X, "columns", ()):
        values = np.asarray(X[name]).ravel()
        for value in () if values.dtype.kind in "fiub" else values:
            try:
                if values.dtype.kind not in "mM":
                    float(value)
                    continue
            except (TypeError, ValueError):
                pass
            raise ValueError(
                f"X must hold numbers, but column {name!r} has {value!s:.40}; encode it, for instance by "
                f"sklearn.preprocessing.OneHotEncoder, or leave it out"
            ) from error


def check_targets(y: Any) -> np.ndarray:
    """Targets (N, Q), float64 and finite, or a ValueError that names y and the row."""
    try:
        values = np.asarray(y, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"y must hold numbers: {error}") from error
    return check_array(values, "y", "float64")


def check_range(columns: np.ndarray, argument: str) -> None:
    """Raise a ValueError where the squares of a column overflow or vanish, so that it could not be standardised."""
    with np.errstate(over="ignore"):
        spread = np.ptp(columns, axis=0)
    bad = (np.abs(columns).max(axis=0) > LARGEST) | ((spread > 0.0) & (spread < 1.0 / LARGEST))
    if bad.any():
        raise ValueError(
            f"column {int(np.argmax(bad))} of {argument} must stay below {LARGEST:g} and vary by more than "
            f"{1.0 / LARGEST:g}; multiply it by a constant"
        )


def check_weights(sample_weight: Any, num_rows: int) -> np.ndarray:
    """Weights (N,) float64; ones for None, the same for all for a number.

    Raises
    ------
    ValueError
        If there is not one finite weight that is not negative for each row, or all are zero.
    """
    try:
        weights = np.array(1.0 if sample_weight is None else sample_weight, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"sample_weight must hold numbers: {error}") from error
    if weights.ndim == 0:
        weights = np.full(num_rows, weights)
    if weights.shape != (num_rows,):
        raise ValueError(f"sample_weight must have one number for each of {num_rows:,} rows, got shape {weights.shape}")
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise ValueError("sample_weight must be finite and not negative, nor all zero")
    return weights


def merged(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same weighted set with each distinct row once, in sorted order.

    The ELBO is a sum over rows: three equal rows are one row of weight 3, and a row of weight 0 is none. Minibatches
    and their noise would tell them apart. Merged, a fit is the same function of the set however it is written down:
    repeated or weighted, and in any order.

    Parameters
    ----------
    x, y, weights : ndarray (N, D), (N, Q), (N,)

    Returns
    -------
    x, y, weights : ndarray (N', D), (N', Q), (N',)
    """
    rows = np.concatenate([x, y], axis=1) + 0.0  # minus zero is zero
    kept = np.flatnonzero(weights)
    order = kept[np.lexsort(rows[kept].T[::-1])]
    rows = rows[order]
    first = np.flatnonzero(np.concatenate([[True], (rows[1:] != rows[:-1]).any(axis=1)]))
    return rows[first, : x.shape[1]], rows[first, x.shape[1] :], np.add.reduceat(weights[order], first)


def spacing(y: np.ndarray) -> float:
    """Smallest difference between two distinct values of a column: the resolution at which it was recorded; 0 for one.

    Differences of the order of rounding errors are none.
    """
    steps = np.diff(np.unique(y))
    steps = steps[steps > 1e-9 * np.abs(y).max()] if len(steps) else steps
    return float(steps.min()) if len(steps) else 0.0
