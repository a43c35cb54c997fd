"""Rows along one feature, to plot functions of many."""

from __future__ import annotations

from typing import Any

import numpy as np

from varbump.core.checks import check_array, check_count, check_number

__all__ = ["slice_along"]


def slice_along(x: Any, feature: int = 0, *, num_points: int = 101, widen: float = 0.0) -> np.ndarray:
    """Make rows in which one feature runs over its range in x while the others stay at their medians.

    Parameters
    ----------
    x : array-like (N, D)
        Data; a one-dimensional array counts as one column.
    feature : int, default=0
        Column that varies.
    num_points : int, default=101
    widen : float, default=0.0
        Margin beyond the data on either side, as a fraction of the range.

    Returns
    -------
    ndarray (num_points, D)
        Rows for `varbump.predict_f` and the like; ``BandsDisplay(rows, bands, feature=feature)`` draws the result.

    Raises
    ------
    ValueError
        If x is empty or not finite, there is no such column, or `widen` is negative.
    """
    x = check_array(x, "x", "float64")
    if x.ndim != 2:
        raise ValueError(f"x must have rows and columns, got shape {x.shape}")
    widen = check_number(widen, "widen")
    num_points = check_count(num_points, "num_points", 2)
    if isinstance(feature, bool) or not isinstance(feature, (int, np.integer)) or not 0 <= feature < x.shape[1]:
        raise ValueError(f"feature must be a column of x, from 0 to {x.shape[1] - 1}, got {feature!r}")
    rows = np.tile(np.median(x, axis=0), (num_points, 1))
    low, high = x[:, feature].min(), x[:, feature].max()
    rows[:, feature] = np.linspace(low - widen * (high - low), high + widen * (high - low), num_points)
    return rows
