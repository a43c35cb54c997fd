"""Tables as callers pass them, column by column: data frames, and arrays of numbers or objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from varbump.estimator.table.cells import Cells, cells_of
from varbump.estimator.table.columns import Column, learn_column

__all__ = ["coded", "column_names", "declared_columns", "is_frame", "learn_columns", "read_cells"]


def is_frame(X: Any) -> bool:
    """Whether X has columns of their own types, as data frames of pandas and polars have."""
    return hasattr(X, "columns") and hasattr(X, "dtypes") and getattr(X, "ndim", 2) == 2


def read_cells(X: Any) -> list[Cells]:
    """Read the columns of a data frame, or of an array (N, D)."""
    if is_frame(X):
        columns = [X.iloc[:, index] if hasattr(X, "iloc") else X[name] for index, name in enumerate(X.columns)]
    else:
        columns = list(np.asarray(X, dtype=None if hasattr(X, "dtype") else object).T)
    return [cells_of(column) for column in columns]


def column_names(X: Any, num_columns: int) -> tuple[list[str], list[str]]:
    """Return the names of the columns of X, and what messages call them."""
    if is_frame(X):
        return [str(name) for name in X.columns], [f"column {name!r}" for name in X.columns]
    return [f"x{index}" for index in range(num_columns)], [f"column {index}" for index in range(num_columns)]


def declared_columns(categorical_features: Any, names: Sequence[str] | None, num_columns: int) -> np.ndarray:
    """Return which columns are declared to be categories (D,), from names, indices or a mask.

    Raises
    ------
    ValueError
        If a name or index is unknown, or the mask has another length.
    """
    declared = np.zeros(num_columns, dtype=bool)
    if categorical_features is None or isinstance(categorical_features, str):
        return declared
    entries = np.asarray(categorical_features)
    if entries.size == 0:
        return declared
    if entries.ndim != 1 or entries.dtype.kind not in "biuUO":
        raise ValueError(
            f"categorical_features must be names, indices or a mask of columns, got {categorical_features!r:.60}"
        )
    if entries.dtype.kind == "b":
        if len(entries) != num_columns:
            raise ValueError(f"categorical_features must have an entry for each of {num_columns} columns of X")
        return entries.copy()
    for entry in entries.tolist():
        if isinstance(entry, str) and entry in (names or ()):
            declared[list(names or ()).index(entry)] = True
        elif isinstance(entry, int) and not isinstance(entry, bool) and -num_columns <= entry < num_columns:
            declared[entry] = True
        else:
            raise ValueError(f"categorical_features: X has no column {entry!r}")
    return declared


def learn_columns(X: Any, cells: Sequence[Cells], categorical_features: Any) -> tuple[list[Column], list[str]]:
    """Find out what the columns of X are, and return them with their names.

    Raises
    ------
    ValueError
        If a column holds what is neither a number, a date nor a category, or `categorical_features` names no column.
    """
    names, said = column_names(X, len(cells))
    declared = declared_columns(categorical_features, names if is_frame(X) else None, len(cells))
    guessed = categorical_features is not None and is_frame(X)
    learned = [
        learn_column(name, each, declared=bool(is_declared), guessed=guessed)
        for name, each, is_declared in zip(said, cells, declared, strict=True)
    ]
    return learned, names


def coded(columns: Sequence[Column], cells: Sequence[Cells]) -> np.ndarray:
    """Return the cells as numbers (N, D), nan where missing."""
    parts = [column.codes(each) for column, each in zip(columns, cells, strict=True)]
    return np.stack(parts, axis=1) if parts else np.empty((0, 0))
