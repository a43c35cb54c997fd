"""Cells that a model cannot take, and categories that it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["num_unseen", "unusable"]


def unusable(columns: Sequence[Any], x: Any) -> np.ndarray:
    """Return which cells of rows x, a matrix or a `Frame`, are infinite, or empty where none was in the fit, (N, D).

    Parameters
    ----------
    columns : sequence of Column
        Those of the encoder of the model.
    x : ndarray or Frame (N, D)
    """
    empty, infinite = (np.isnan(x), np.isinf(x)) if isinstance(x, np.ndarray) else (x.missing(), x.infinite())
    fills = np.array([column.has_missing or column.kind in ("category", "ignored") for column in columns])
    return infinite | (empty & ~fills)


def num_unseen(columns: Sequence[Any], names: Sequence[str], x: Any) -> int:
    """Count the cells that hold a category that was not in the fit; empty cells are not counted."""
    count = 0
    for column, name in zip(columns, names, strict=True):
        if column.kind == "category":
            known = {None, *column.levels}
            count += sum(cell not in known for cell in x[name])
    return count
