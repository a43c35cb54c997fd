"""Columns of a table: what each is, learned from the table of a fit, and its cells as numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.preprocessing import OrdinalEncoder

from varbump.estimator.table.cells import Cells, as_levels

__all__ = ["Column", "KINDS", "Level", "UNSEEN", "learn_column"]

KINDS = ("number", "date", "duration", "category", "ignored")

UNSEEN = -1
"""Code of a level that was not in the table of the fit."""

SAID = {"number": "numbers", "date": "dates", "duration": "durations", "text": "text", "other": "objects"}

Level = Any
"""A word, or a number."""


@dataclass(frozen=True)
class Column:
    """What a fit has learned of a column.

    Attributes
    ----------
    name : str
        In quotes if the table has names, for messages.
    kind : str
        One of `KINDS`; an "ignored" column, such as one without any cell, does not reach the network.
    levels : tuple
        Of a category: words and numbers, in order.
    shown : tuple of int
        Indices of the levels that have an input of their own; the others share one.
    parts : tuple of str
        Of a date: the cycles along which it is encoded, besides time itself.
    has_missing : bool
        Whether there was a missing cell.
    has_indicator : bool
        Whether an input says that the cell is missing.
    """

    name: str
    kind: str
    levels: tuple[Level, ...] = ()
    shown: tuple[int, ...] = ()
    parts: tuple[str, ...] = ()
    has_missing: bool = False
    has_indicator: bool = False

    def codes(self, cells: Cells) -> np.ndarray:
        """Return the cells as numbers (N,): indices of levels, days, or the numbers themselves; nan if missing.

        Raises
        ------
        ValueError
            If they are of another kind than in the fit.
        """
        if self.kind == "ignored" or cells.kind == "none":
            return np.full(len(cells.values), np.nan)
        if self.kind != "category":
            if cells.kind != self.kind:
                raise ValueError(f"X: {self.name} held {SAID[self.kind]} in the fit, but {_found(cells)} here")
            return cells.values
        levels = as_levels(cells)
        present = np.array([level is not None for level in levels], dtype=bool)
        if all(isinstance(level, str) for level in self.levels) and cells.kind != "text":
            raise ValueError(f"X: {self.name} held text in the fit, but {_found(cells)} here")
        if not any(isinstance(level, str) for level in self.levels) and cells.kind == "text":
            raise ValueError(f"X: {self.name} held codes that are numbers in the fit, but {_found(cells)} here")
        codes = np.full(len(levels), np.nan)
        if present.any():
            known = np.empty(len(self.levels), dtype=object)
            known[:] = self.levels
            encoder = OrdinalEncoder(categories=[known], handle_unknown="use_encoded_value", unknown_value=UNSEEN)
            encoder.fit(known[:, None])
            codes[present] = encoder.transform(levels[present, None])[:, 0]
        return codes


def learn_column(name: str, cells: Cells, *, declared: bool, guessed: bool) -> Column:
    """Find out what a column is.

    Parameters
    ----------
    name : str
    cells : Cells
    declared : bool
        Whether the caller has said that it is a category.
    guessed : bool
        Whether text, and what the dtype calls a category, becomes a category.

    Raises
    ------
    ValueError
        If it holds what is neither a number, a date nor a category; the message names the column.
    """
    if cells.kind == "none":
        return Column(name, "ignored")
    if cells.kind == "other":
        raise ValueError(
            f"X must hold numbers, dates or categories, but {name} {_shown(cells)}; make it numbers or text, for "
            f"instance by .astype(str), or leave it out"
        )
    if not (declared or (guessed and (cells.is_category or cells.kind == "text"))):
        if cells.kind == "text":
            raise ValueError(
                f"X must hold numbers, but {name} {_shown(cells)}; pass a data frame, whose columns of text are "
                f"categories, name it in categorical_features, or leave it out"
            )
        return Column(name, cells.kind)
    found = {level for level in as_levels(cells) if level is not None}
    if any(isinstance(level, float) and np.isinf(level) for level in found):
        raise ValueError(f"X: {name} is a category with an infinite level")
    levels = sorted(found, key=lambda level: (isinstance(level, str), level))
    return Column(name, "category", tuple(levels), tuple(range(len(levels))))


def _shown(cells: Cells) -> str:
    """The first cells of different types, for a message."""
    first = {type(value): value for value in cells.values[::-1] if value is not None}
    shown = [f"{value!r:.30}" for value in list(first.values())[:2]]
    return f"has {shown[0]}" if len(shown) == 1 else f"mixes {shown[0]} and {shown[1]}"


def _found(cells: Cells) -> str:
    first = next(level for level in as_levels(cells) if level is not None)
    return f"{SAID[cells.kind]} such as {first!r:.30}"
