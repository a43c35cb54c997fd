"""Dates as numbers: days, and the phases of the cycles that a table spans."""

from __future__ import annotations

import numpy as np

__all__ = ["CYCLES", "cycles_of", "phases"]

CYCLES = {"year": 365.2425, "week": 7.0, "day": 1.0}
"""Lengths in days."""

SPANS = {"year": 1.5 * CYCLES["year"], "week": 21.0, "day": 2.0}
"""Days that a table must span for a cycle to be told from a trend: phases must have come back."""


def cycles_of(days: np.ndarray) -> tuple[str, ...]:
    """Return the cycles to encode for dates (N,) in days, nan where missing.

    A cycle counts if the table spans it more than once and its phase varies: dates without times have no phase of the
    day, and weekly ones none of the week.
    """
    days = days[~np.isnan(days)]
    span = np.ptp(days) if len(days) else 0.0
    grains = {"year": days, "week": np.floor(days), "day": days}
    return tuple(
        name
        for name, length in CYCLES.items()
        if span >= SPANS[name] and np.ptp(np.round(np.mod(grains[name], length), 6)) > 0.0
    )


def phases(days: np.ndarray, cycles: tuple[str, ...]) -> np.ndarray:
    """Return sine and cosine of each cycle at dates (N,) in days, (N, 2 C)."""
    angles = [2.0 * np.pi * np.mod(days, CYCLES[name]) / CYCLES[name] for name in cycles]
    return np.stack([wave(angle) for angle in angles for wave in (np.sin, np.cos)], axis=1)
