"""A table of which one column is set to other values."""

from __future__ import annotations

from typing import Any

import numpy as np

from varbump.core.checks import check_count

__all__ = ["VariedColumn"]

ENDS = (0.01, 0.99)
"""Quantiles of a column of numbers between which it is varied."""

MOST_LEVELS = 30
"""Largest number of levels of a column of categories; the most frequent ones are taken."""


class VariedColumn:
    """One column of a table: an array, a data frame, or a frame of arrays, whose columns are known by name only.

    Parameters
    ----------
    X : array-like or data frame (N, D)
    feature : str or int
        Name or index of the column.

    Raises
    ------
    ValueError
        If X is no table, has no such column, or no value in it.
    """

    def __init__(self, X: Any, feature: Any) -> None:
        self._is_frame = hasattr(X, "iloc") and hasattr(X, "columns")
        self._is_by_name = hasattr(X, "columns") and hasattr(X, "dtypes") and not self._is_frame
        self._table: Any = X if self._is_frame or self._is_by_name else np.asarray(X)
        if isinstance(self._table, np.ndarray) and self._table.ndim == 1:
            self._table = self._table[:, None]
        if len(self._table.shape) != 2 or not len(self._table):
            raise ValueError(f"X must be a table of rows and columns, got shape {self._table.shape}")
        names = list(X.columns) if self._is_frame or self._is_by_name else []
        if feature in names:
            self._index = names.index(feature)
        elif type(feature) is not bool and feature in range(self._table.shape[1]):
            self._index = int(feature)
        else:
            known = f", one of {', '.join(map(repr, names)):.300}" if names else ""
            raise ValueError(
                f"feature must be a column of X{known}, or an index below {self._table.shape[1]}, got {feature!r:.60}"
            )
        self.name = str(names[self._index]) if names else f"x{self._index}"
        self._names = names
        self._column, self._there = self._found()
        if not len(self._there):
            raise ValueError(f"column {self.name} of X has no value")

    def __len__(self) -> int:
        return len(self._table)

    def _found(self) -> tuple[Any, Any]:
        """The column, and its cells that are not missing."""
        if self._is_frame:
            column = self._table.iloc[:, self._index]
            return column, column.dropna()
        if self._is_by_name:
            column = np.asarray(self._table[self._names[self._index]])
        else:
            column = self._table[:, self._index]
        present = column == column  # nan and NaT are not themselves
        if self._is_by_name and column.dtype.kind == "O":
            present = np.array([cell is not None and cell == cell for cell in column], dtype=bool)
        return column, column[present]

    def values(self, grid: Any) -> tuple[np.ndarray, bool]:
        """Values for the column, and whether they are ordered."""
        is_ordered = self._kind() in "iufmM"
        if np.ndim(grid):
            given = np.asarray(grid)
            if not len(given) or (given.dtype.kind == "f" and not np.isfinite(given).all()):
                raise ValueError(f"grid must hold finite values, got {given!r:.80}")
            return given, is_ordered
        count = check_count(grid, "grid", minimum=2)
        if not is_ordered:
            found, times = np.unique(np.asarray(self._there, object).astype(str), return_counts=True)
            levels = {str(level): level for level in np.asarray(self._there, object)}
            most = found[np.argsort(-times, kind="stable")][:MOST_LEVELS]
            return np.array([levels[level] for level in most], object), False
        numbers = np.asarray(self._there)
        different = np.unique(numbers)
        if len(different) <= count:
            return different, True
        if numbers.dtype.kind in "mM":
            low, high = np.quantile(numbers.astype("int64").astype(float), ENDS)
            return np.linspace(low, high, count).astype("int64").astype(numbers.dtype), True
        low, high = np.quantile(numbers.astype(float), ENDS)
        return np.linspace(low, high, count), True

    def observed(self, rows: np.ndarray, is_ordered: bool) -> np.ndarray:
        """Deciles of the column, or its values in these rows."""
        if not is_ordered:
            return np.asarray(self._column, object)[rows]
        numbers = np.sort(np.asarray(self._there))
        return numbers[np.linspace(0, len(numbers) - 1, 11)[1:-1].round().astype(int)]

    def with_values(self, rows: np.ndarray, values: np.ndarray) -> Any:
        """The rows once for each of the values in turn, (G n, D)."""
        repeated, all_rows = np.repeat(values, len(rows)), np.tile(rows, len(values))
        if self._is_by_name:
            cells = {name: np.asarray(self._table[name])[all_rows] for name in self._names}
            cells[self._names[self._index]] = repeated if self._kind() in "iuf" else repeated.astype(self._column.dtype)
            return type(self._table)(cells)
        if not self._is_frame:
            table = self._table[all_rows].astype(np.result_type(self._table, repeated))
            table[:, self._index] = repeated
            return table
        frame = self._table.iloc[all_rows].reset_index(drop=True)
        column = type(self._column)(repeated)
        frame.isetitem(self._index, column if self._kind() in "iuf" else column.astype(self._column.dtype))
        return frame

    def _kind(self) -> str:
        """Kind of the column's dtype, as NumPy's; "O" for categories and text."""
        return str(getattr(self._column.dtype, "kind", "O"))
