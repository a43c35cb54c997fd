"""Rows whose columns are of different kinds, as the regressor takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["CATEGORY", "DATE", "Frame", "NUMBER", "joined", "rows_of"]

NUMBER, CATEGORY, DATE = "number", "category", "date"
"""Kinds of columns: float64 with nan, words with None, and datetime64 with NaT for empty cells."""


class Frame:
    """Columns by name; indexing by a name gives a column, by anything else rows.

    Parameters
    ----------
    data : mapping of str to ndarray (N,)

    Attributes
    ----------
    columns : list of str
    dtypes : list of dtype
    shape : (int, int)
    """

    ndim = 2

    def __init__(self, data: Mapping[str, np.ndarray]) -> None:
        self._data = dict(data)
        self.columns = list(self._data)
        self.dtypes = [column.dtype for column in self._data.values()]
        self.shape = (len(self._data[self.columns[0]]), len(self.columns))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, which: Any) -> Any:
        if isinstance(which, str):
            return self._data[which]
        return Frame({name: column[which] for name, column in self._data.items()})

    def numbers(self) -> dict[str, np.ndarray]:
        """Return the columns of numbers."""
        return {name: column for name, column in self._data.items() if column.dtype.kind == "f"}

    def missing(self) -> np.ndarray:
        """Return which cells are empty, (N, D)."""
        return np.stack([_missing(column) for column in self._data.values()], axis=1)

    def infinite(self) -> np.ndarray:
        """Return which cells are infinite, (N, D)."""
        none = np.zeros(len(self), dtype=bool)
        return np.stack([np.isinf(c) if c.dtype.kind == "f" else none for c in self._data.values()], axis=1)

    def texts(self) -> list[list[Any]]:
        """Return the rows as they are written to a table: numbers, words, and empty words for empty cells."""
        columns = []
        for column in self._data.values():
            cells = np.datetime_as_string(column) if column.dtype.kind == "M" else column
            empty = _missing(column).tolist()
            columns.append(["" if gone else cell for cell, gone in zip(cells.tolist(), empty, strict=True)])
        return [list(row) for row in zip(*columns, strict=True)]


def rows_of(data: Mapping[str, np.ndarray]) -> Any:
    """Return columns as a matrix (N, D) if all of them are numbers, otherwise as a `Frame`."""
    if all(column.dtype.kind == "f" for column in data.values()):
        return np.stack(list(data.values()), axis=1)
    return Frame(data)


def joined(parts: Sequence[Any]) -> Any:
    """Concatenate matrices or frames."""
    if not isinstance(parts[0], Frame):
        return np.concatenate(parts)
    return Frame({name: np.concatenate([part[name] for part in parts]) for name in parts[0].columns})


def _missing(column: np.ndarray) -> np.ndarray:
    if column.dtype.kind == "O":
        return np.array([cell is None for cell in column], dtype=bool)
    return np.isnat(column) if column.dtype.kind == "M" else np.isnan(column)
