"""Histogram of the probability integral transform (PIT), with a band for its variation by chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from varbump.core.printed import Short

__all__ = ["PITHistogram"]

CONFIDENCE = 0.95


@dataclass(frozen=True, eq=False, repr=False)
class PITHistogram(Short):
    """Histogram of the PIT and the band that contains it for a calibrated model.

    A valley means that intervals are too narrow, a hill that they are too wide, a slope that the mean is off.

    Attributes
    ----------
    edges : ndarray (B + 1,)
        Edges of the bins, from 0 to 1.
    density : ndarray (B,)
        Heights: 1 everywhere for a calibrated model in the limit of many data.
    low, high : float
        ALL bars of a calibrated model lie between these with probability of at least `confidence`.
    confidence : float
    num_data : int
    """

    edges: np.ndarray
    density: np.ndarray
    low: float
    high: float
    confidence: float
    num_data: int

    @classmethod
    def of(cls, pit: np.ndarray, num_bins: int) -> PITHistogram:
        """Histogram of values in [0, 1]; the band is binomial, at (1 - confidence) / B for each bar (Bonferroni)."""
        num = len(pit)
        counts, edges = np.histogram(pit, bins=num_bins, range=(0.0, 1.0))
        tail = (1.0 - CONFIDENCE) / num_bins / 2.0
        low, high = binom.ppf([tail, 1.0 - tail], num, 1.0 / num_bins) * num_bins / num
        return cls(edges, counts * num_bins / num, float(low), float(high), CONFIDENCE, num)
