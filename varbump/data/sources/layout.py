"""Rows of x, y and weights side by side in one table, so that shuffling moves each row once."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

__all__ = ["Layout"]


@dataclass(frozen=True)
class Layout:
    """Columns of a table: those of x, of y, and of the weights.

    Parameters
    ----------
    x_shape, y_shape : tuple of int
        Shape of a row of x, and of y.
    weighted : bool
        Whether the last column has the weights.
    """

    x_shape: tuple[int, ...]
    y_shape: tuple[int, ...]
    weighted: bool

    @property
    def width(self) -> int:
        """Number of columns."""
        return self._ends[1] + self.weighted

    def pack(self, rows: Any, dtype: np.dtype) -> np.ndarray:
        """Table (n, width) of rows."""
        table = np.empty((len(rows.x), self.width), dtype)
        inputs, end = self._ends
        table[:, :inputs] = np.reshape(rows.x, (len(table), -1))
        table[:, inputs:end] = np.reshape(rows.y, (len(table), -1))
        if self.weighted:
            table[:, end] = rows.sample_weight
        return table

    def unpack(self, table: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Views of x (n, ...), y (n, ...) and the weights (n,) in a table."""
        inputs, end = self._ends
        x = table[:, :inputs].reshape(len(table), *self.x_shape)
        y = table[:, inputs:end].reshape(len(table), *self.y_shape)
        return x, y, table[:, end] if self.weighted else None

    def column(self, index: int) -> str:
        """Name of a column."""
        inputs, end = self._ends
        if index < inputs:
            return f"column {index} of x"
        return f"column {index - inputs} of y" if index < end else "the weight"

    @property
    def _ends(self) -> tuple[int, int]:
        """Where the columns of x end, and those of y."""
        inputs = prod(self.x_shape)
        return inputs, inputs + prod(self.y_shape)
