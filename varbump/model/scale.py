"""The scale of data that priors and initial values assume."""

from __future__ import annotations

import numpy as np

__all__ = ["far_from_unit_scale"]

MAX_MEAN, SD_RANGE = 5.0, (0.05, 20.0)
"""Limits for a column. Standardised columns have 0 and 1; uniform ones on [0, 1] or [-10, 10] pass too."""


def far_from_unit_scale(
    array: np.ndarray, max_mean: float = MAX_MEAN, codes: np.ndarray | None = None
) -> list[tuple[int, float, float]]:
    """List the columns of (N, ...) far from unit scale, but none of `codes` (...): index, mean and sd of each."""
    columns = array.reshape(len(array), -1).astype(float)
    return [
        (index, float(mean), float(sd))
        for index, (mean, sd) in enumerate(zip(columns.mean(0), columns.std(0), strict=True))
        if (codes is None or not codes.flat[index])
        and (abs(mean) > max_mean or (sd > 0 and not SD_RANGE[0] <= sd <= SD_RANGE[1]))
    ]
