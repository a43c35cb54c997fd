"""Predictions of a regressor for rows of a table, in one pass over the draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from varbump.cli.frame import joined
from varbump.cli.summaries import rows_along
from varbump.predict.bands import Bands

__all__ = ["Forecast", "along", "forecast"]

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


def forecast(model: Any, x: Any, levels: Sequence[float]) -> Forecast:
    """Predict rows x (N, D) with intervals of these levels, each in (0, 1)."""
    parts: list[list[np.ndarray]] = []
    for _, of_y in model.predict_dist(x).blocks():
        tails = [of_y.quantile(tail) for level in levels for tail in (0.5 - level / 2, 0.5 + level / 2)]
        parts.append([*of_y.moments(), *tails])
    mean, sd, epistemic, *tails = (np.concatenate(part) for part in zip(*parts, strict=True))
    lower, upper = (dict(zip(levels, tails[side::2], strict=True)) for side in (0, 1))
    return Forecast(mean, sd, epistemic, lower, upper)


def along(model: Any, features: Sequence[dict[str, Any]], which: Sequence[int]) -> list[tuple[np.ndarray, Forecast]]:
    """Predictions along single features, which are numbers, with all others typical; `features` describes them."""
    if not which:
        return []
    pairs = [rows_along(features, index, POINTS) for index in which]
    whole = forecast(model, joined([rows for _, rows in pairs]), LEVELS)
    result = []
    for index, (grid, _) in enumerate(pairs):
        rows = slice(index * POINTS, (index + 1) * POINTS)
        ends = [{level: values[rows] for level, values in side.items()} for side in (whole.lower, whole.upper)]
        result.append((grid, Forecast(whole.mean[rows], whole.sd[rows], whole.epistemic_sd[rows], ends[0], ends[1])))
    return result
