"""Rows of arrays, also of files that are mapped into memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from varbump.core.array_like import as_array
from varbump.core.checks import check_rows_match
from varbump.core.numeric import refuse_no_numbers
from varbump.data.sources.base import BLOCK_ROWS, Rows, Source

__all__ = ["ArraySource"]

GROUPS_A_BLOCK = 64
"""Groups in a block; a thousand neighbours at a time make the access to files on disks nearly sequential."""

HASHED_ROWS, HASHED_SLICES = 1_024, 4_096
"""Rows in each slice that takes part in the checksum, and number of slices, which are evenly spaced."""


class ArraySource(Source):
    """Rows of arrays in memory, or of NumPy memmaps, none of which is copied as a whole.

    Parameters
    ----------
    x, y : array-like (N, ...), (N, ...)
        Such as ``np.load("x.npy", mmap_mode="r")``. One-dimensional arrays are treated as one column.
    sample_weight : array-like (N,), optional
        Weights of the rows, as in `varbump.fit`.
    block_rows, pool_rows : int
        As in `Source`.

    Raises
    ------
    ValueError
        If they hold no numbers, or differ in their number of rows.
    """

    def __init__(
        self, x: Any, y: Any, sample_weight: Any = None, *, block_rows: int = BLOCK_ROWS, pool_rows: int | None = None
    ) -> None:
        super().__init__(block_rows=block_rows, pool_rows=pool_rows)
        self._x, self._y = _columns(x, "x"), _columns(y, "y")
        check_rows_match(self._x, self._y)
        self._weights = None if sample_weight is None else _columns(sample_weight, "sample_weight")
        if self._weights is not None:
            check_rows_match(self._x, self._weights, "x", "sample_weight")
            if self._weights.shape[1:] != (1,):
                raise ValueError(f"sample_weight must have one number a row, got shape {self._weights.shape}")
        count, self._group_rows = len(self._x), max(1, self.block_rows // GROUPS_A_BLOCK)
        self.groups = [min(self._group_rows, count - start) for start in range(0, count, self._group_rows)]
        self.x_shape, self.y_shape = self._x.shape[1:], self._y.shape[1:]
        self.weighted = self._weights is not None
        used = [a.dtype for a in (self._x, self._y, self._weights) if a is not None]
        self.dtype = np.result_type(np.float32, *used) if all(d.kind == "f" for d in used) else np.dtype(np.float64)

    def read(self, group: int, size: int) -> Iterator[Rows]:
        """Yield the rows of a group in pieces of at most `size` rows, which are views."""
        first = group * self._group_rows
        end = first + self.groups[group]
        for start in range(first, end, size):
            part = slice(start, min(start + size, end))
            yield Rows(self._x[part], self._y[part], None if self._weights is None else self._weights[part, 0])

    @property
    def digest(self) -> str:
        """Checksum of the rows, of an evenly spaced sample if there are more than four million."""
        total = hashlib.sha256(f"{self.block_rows} {self.pool_rows}".encode())
        starts = np.arange(0, self.num_data, HASHED_ROWS)
        chosen = starts[np.unique(np.linspace(0, len(starts) - 1, HASHED_SLICES).astype(int))]
        for array in (self._x, self._y, self._weights):
            if array is not None:
                total.update(f"{array.shape}{array.dtype}".encode())
                for start in chosen:
                    total.update(np.ascontiguousarray(array[start : start + HASHED_ROWS]).data)
        return total.hexdigest()

    def place(self, group: int, row: int) -> str:
        """Row of the arrays."""
        name = getattr(self._x, "filename", None)
        return f"{name or 'the arrays'}, row {group * self._group_rows + row}"


def _columns(value: Any, argument: str) -> np.ndarray:
    """An array with columns, which is not copied if it is one already."""
    if not isinstance(value, np.ndarray):
        refuse_no_numbers(value, argument)
        value = as_array(value, argument)
    if value.dtype.kind not in "fiub":
        refuse_no_numbers(value, argument)
        raise ValueError(f"{argument} must hold numbers, got dtype {value.dtype}")
    if not value.ndim or not len(value):
        raise ValueError(f"{argument} must have rows, got shape {value.shape}")
    return value[:, None] if value.ndim == 1 else value
