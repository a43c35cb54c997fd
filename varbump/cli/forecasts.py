"""Predictions of a regressor for rows of a table, in one pass over the draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from varbump.data.slices import slice_along
from varbump.predict.bands import Bands

__all__ = ["Forecast", "forecast", "slices"]

POINTS = 101
"""Points of a slice."""

LEVELS = (0.5, 0.95)


class Forecast(NamedTuple):
    """Predictive distribution of each row, units of y.

    Attributes
    ----------
    mean, sd, epistemic_sd : ndarray (N, Q)
        Mean, total sd, and the sd of the expectation, which more data would reduce.
    lower, upper : dict of float to ndarray (N, Q)
        Ends of the equal-tailed interval of each level.
    """

    mean: np.ndarray
    sd: np.ndarray
    epistemic_sd: np.ndarray
    lower: dict[float, np.ndarray]
    upper: dict[float, np.ndarray]

    @property
    def bands(self) -> Bands:
        """The same as `Bands`, for `BandsDisplay`."""
        return Bands(self.mean, self.sd, self.lower, self.upper, kind="predictive")


def forecast(model: Any, x: np.ndarray, levels: Sequence[float]) -> Forecast:
    """Predict rows x (N, D) with intervals of these levels, each in (0, 1)."""
    parts: list[list[np.ndarray]] = []
    for _, of_y in model.predict_dist(x).blocks():
        tails = [of_y.quantile(tail) for level in levels for tail in (0.5 - level / 2, 0.5 + level / 2)]
        parts.append([*of_y.moments(), *tails])
    mean, sd, epistemic, *tails = (np.concatenate(part) for part in zip(*parts, strict=True))
    lower, upper = (dict(zip(levels, tails[side::2], strict=True)) for side in (0, 1))
    return Forecast(mean, sd, epistemic, lower, upper)


def slices(
    model: Any, median: np.ndarray, low: np.ndarray, high: np.ndarray, which: Sequence[int]
) -> list[tuple[np.ndarray, Forecast]]:
    """Predictions along single features from `low` to `high`, all others at their median, each (D,)."""
    summary = np.stack([low, median, high])
    rows_of = [slice_along(summary, feature, num_points=POINTS) for feature in which]
    whole = forecast(model, np.concatenate(rows_of), LEVELS)
    grids = [rows[:, feature] for rows, feature in zip(rows_of, which, strict=True)]
    result = []
    for index, grid in enumerate(grids):
        rows = slice(index * POINTS, (index + 1) * POINTS)
        ends = [{level: values[rows] for level, values in side.items()} for side in (whole.lower, whole.upper)]
        result.append((grid, Forecast(whole.mean[rows], whole.sd[rows], whole.epistemic_sd[rows], ends[0], ends[1])))
    return result
