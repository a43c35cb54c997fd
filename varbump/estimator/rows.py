"""The rows of a table as a weighted set, which alone determines a fit."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np

from varbump.core.checks import check_array
from varbump.core.numeric import refuse_no_numbers

__all__ = ["check_range", "check_targets", "check_weights", "merged", "spacing"]

LARGEST = 1e150
"""Beyond this, or below its inverse, squares of float64 overflow or vanish."""

OFF_GRID = 0.01
"""Distance from a multiple, in steps, that rounding errors account for."""


def check_targets(y: Any) -> np.ndarray:
    """Return targets (N, Q) as finite float64, or raise a ValueError that names y and the row."""
    refuse_no_numbers(y, "y")
    try:
        values = np.asarray(y, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"y must hold numbers: {error}") from error
    return check_array(values, "y", "float64")


def check_range(columns: np.ndarray, argument: str) -> None:
    """Raise a ValueError if a column cannot be standardised because its squares overflow or vanish."""
    columns = columns if len(columns) == 0 else np.where(np.isnan(columns), _first_numbers(columns), columns)
    with np.errstate(over="ignore"):
        spread = np.ptp(columns, axis=0)
    bad = (np.abs(columns).max(axis=0) > LARGEST) | ((spread > 0.0) & (spread < 1.0 / LARGEST))
    if bad.any():
        raise ValueError(
            f"column {int(np.argmax(bad))} of {argument} must stay below {LARGEST:g} and vary by more than "
            f"{1.0 / LARGEST:g}; multiply it by a constant"
        )


def _first_numbers(columns: np.ndarray) -> np.ndarray:
    """The first entry of each column that is not missing, or 0, (D,)."""
    first = columns[np.argmin(np.isnan(columns), axis=0), np.arange(columns.shape[1])]
    return np.nan_to_num(first)


def check_weights(sample_weight: Any, num_rows: int) -> np.ndarray:
    """Return weights of the rows (N,), float64; ones for None, and a single number is repeated.

    Raises
    ------
    ValueError
        If there is not one weight for each row, or some are negative or not finite, or all are zero.
    """
    is_single = isinstance(sample_weight, Real) or getattr(sample_weight, "ndim", None) == 0
    if sample_weight is not None and not is_single:
        refuse_no_numbers(sample_weight, "sample_weight")
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
    """Return the same weighted set with each distinct row once, in sorted order.

    The ELBO is a sum over rows: three equal rows are equivalent to one row of weight 3, and a row of weight 0 to none.
    Minibatches and their noise would tell them apart. After merging, a fit does not depend on how the set is given:
    repeated or weighted, and in which order.

    Parameters
    ----------
    x, y, weights : ndarray (N, D), (N, Q), (N,)
        Of x, cells may be missing (nan), which equal each other.

    Returns
    -------
    x, y, weights : ndarray (N', D), (N', Q), (N',)
    """
    rows = np.concatenate([x, y], axis=1) + 0.0  # turns -0 into 0
    kept = np.flatnonzero(weights)
    order = kept[np.lexsort(rows[kept].T[::-1])]
    rows = rows[order]
    differ = (rows[1:] != rows[:-1]) & ~(np.isnan(rows[1:]) & np.isnan(rows[:-1]))
    first = np.flatnonzero(np.concatenate([[True], differ.any(axis=1)]))
    return rows[first, : x.shape[1]], rows[first, x.shape[1] :], np.add.reduceat(weights[order], first)


def spacing(y: np.ndarray) -> float:
    """Return the step of the grid on which a column was recorded; 0 if it is constant or shows no grid.

    On a grid, all differences are multiples of the smallest, and some values repeat. Differences of the order of
    rounding errors are ignored.
    """
    values = np.unique(y)
    steps = np.diff(values)
    steps = steps[steps > 1e-9 * np.abs(y).max()] if len(steps) else steps
    if not len(steps) or len(steps) + 1 == len(y):
        return 0.0
    multiples = steps / steps.min()
    return float(steps.min()) if np.all(np.abs(multiples - np.round(multiples)) < OFF_GRID) else 0.0
