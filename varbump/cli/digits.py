"""Rounding of predictions for tables of text, to the digits that mean something."""

from __future__ import annotations

import numpy as np

__all__ = ["DIGITS", "rounded"]

DIGITS = 7
"""Significant digits: those of single precision, in which networks compute. Others are rounding errors."""


def rounded(values: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """Round to 7 significant digits, or as many more as it takes to keep 7 of the sd.

    Parameters
    ----------
    values : ndarray
    sd : ndarray
        Standard deviation of each value; broadcast against `values`. The digits of a mean of 1e9 with sd 1 that say
        where in its interval it lies are the tenth to the sixteenth.
    """
    sizes = np.minimum(_sizes(values), _sizes(np.broadcast_to(sd, values.shape)))
    finite = np.isfinite(sizes) & np.isfinite(values)
    decimals = DIGITS - 1 - np.floor(np.log10(sizes[finite])).astype(int)
    result = np.array(values, float)
    # Python's round gives the number nearest to the decimal one, which is written with these digits; NumPy's may not
    result[finite] = list(map(round, result[finite].tolist(), decimals.tolist()))
    return result


def _sizes(values: np.ndarray) -> np.ndarray:
    """Absolute values, and infinity for zeros, which have no digits to keep."""
    return np.where(values == 0.0, np.inf, np.abs(values))
