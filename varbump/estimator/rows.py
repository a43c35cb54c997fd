"""The rows of a table as a weighted set: what a fit depends on, and all that it depends on."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["check_weights", "merged", "spacing"]


def check_weights(sample_weight: Any, num_rows: int) -> np.ndarray:
    """Weights (N,) float64; ones for None, the same for all for a number.

    Raises
    ------
    ValueError
        If there is not one finite weight that is not negative for each row, or all are zero.
    """
    weights = np.array(1.0 if sample_weight is None else sample_weight, dtype=float)
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
