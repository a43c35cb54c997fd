"""What is learned of a column from the weighted rows of a fit."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np

from varbump.estimator.table.columns import Column
from varbump.estimator.table.dates import cycles_of

__all__ = ["MOST_LEVELS", "completed"]

MOST_LEVELS = 256
"""Most levels of a category with inputs of their own, the most frequent ones; the others share one."""

FEWEST_IDS = 30
"""Fewest levels of a column that is taken for identifiers, if it has more than one for every second row."""


def completed(column: Column, codes: np.ndarray, weights: np.ndarray) -> tuple[Column, np.ndarray]:
    """Return the column with what the rows say of it, and codes (N,) for it: levels without a row are forgotten.

    Parameters
    ----------
    column : Column
    codes, weights : ndarray (N,)
        Of distinct rows with positive weights.

    Warns
    -----
    UserWarning
        If the column looks like identifiers, which are ignored.
    """
    missing = np.isnan(codes)
    if missing.all():
        return replace(column, kind="ignored", levels=(), shown=()), codes
    has_missing = bool(missing.any())
    if column.kind == "date":
        return replace(column, parts=cycles_of(codes), has_missing=has_missing), codes
    if column.kind != "category":
        return replace(column, has_missing=has_missing), codes
    used, inverse = np.unique(codes[~missing].astype(int), return_inverse=True)
    if len(used) >= FEWEST_IDS and 2 * len(used) > len(codes):
        warnings.warn(
            f"{column.name} of X has {len(used):,} levels in {len(codes):,} rows, as identifiers do, and is ignored; "
            f"leave it out, or make it numbers or fewer levels",
            UserWarning,
            stacklevel=4,
        )
        return replace(column, kind="ignored", levels=(), shown=()), np.full(len(codes), np.nan)
    recoded = np.full(len(codes), np.nan)
    recoded[~missing] = inverse
    counts = np.round(np.bincount(inverse, weights[~missing]) / weights.sum(), 12)  # rounding errors break no ties
    shown = np.sort(np.argsort(-counts, kind="stable")[:MOST_LEVELS])
    levels = tuple(column.levels[index] for index in used)
    known = replace(column, levels=levels, shown=tuple(map(int, shown)))
    return replace(known, has_missing=has_missing, has_indicator=has_missing), recoded
