"""Cells and numbers as JSON holds them."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["as_json", "short"]

DIGITS = 6


def as_json(column: np.ndarray) -> list[Any]:
    """Cells as JSON holds them: numbers, words, ISO dates, and None for empty ones."""
    if column.dtype.kind == "M":
        return [None if np.isnat(day) else str(np.datetime_as_string(day, "s")) for day in column]
    if column.dtype.kind == "f":
        return [None if np.isnan(number) else float(number) for number in column]
    return [None if cell is None else str(cell) for cell in column]


def short(number: Any) -> float:
    """Round to 6 significant digits."""
    return float(f"{number:.{DIGITS}g}")
