"""Choice of feature and target columns, and the rows to learn from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from varbump.cli.errors import UserError, listed
from varbump.cli.tables import Table

__all__ = ["Columns", "Rows", "choose", "read_rows"]

FEWEST_ROWS = 10


class Columns(NamedTuple):
    """Names of features and targets, in the order of the model."""

    features: list[str]
    targets: list[str]


class Rows(NamedTuple):
    """Training data x (N, D) and y (N, Q), float64, and the number of rows left out."""

    x: np.ndarray
    y: np.ndarray
    num_dropped: int


def choose(table: Table, targets: Sequence[str], features: Sequence[str]) -> Columns:
    """Return the named columns; without names of features, all columns but the targets are features.

    Raises
    ------
    UserError
        If a name is unknown, named twice, or both; or if no feature is left.
    """
    for names, option in ((targets, "--target"), (features, "--features")):
        table.require(names, f" ({option})")
        twice = [name for index, name in enumerate(names) if name in names[:index]]
        if twice:
            raise UserError(f"{option} names column {twice[0]!r} twice")
    both = [name for name in features if name in targets]
    if both:
        raise UserError(f"column {both[0]!r} is both a target and a feature; take it out of --features")
    chosen = list(features) or [name for name in table.columns if name not in set(targets)]
    if not chosen:
        raise UserError(f"{table.name} has no column left for a feature beside the target {listed(targets)}")
    return Columns(chosen, list(targets))


def read_rows(table: Table, columns: Columns, *, drop_missing: bool) -> Rows:
    """Read all rows of the columns, in which every cell must be a finite number.

    Raises
    ------
    UserError
        If a cell is empty or infinite and rows may not be dropped, if fewer than 10 rows are left, or if a target is
        constant.
    """
    names = [*columns.features, *columns.targets]
    values = table.read(names)
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        if not drop_missing:
            raise UserError(_missing(table, names, values, finite))
        kept = values[finite]
    else:
        kept = values
    if len(kept) < FEWEST_ROWS:
        without = f" without empty cells (of {len(values):,})" if len(kept) < len(values) else ""
        plural = "" if len(kept) == 1 else "s"
        raise UserError(
            f"{table.name} has {len(kept):,} row{plural}{without}; at least {FEWEST_ROWS} are needed to learn anything"
        )
    too_large = np.abs(kept).max(axis=0) > np.sqrt(np.finfo(np.float64).max)
    if too_large.any():
        name = names[int(np.argmax(too_large))]
        raise UserError(f"{table.name}, column {name!r} holds numbers beyond 1e154, whose spread cannot be computed")
    y = kept[:, len(columns.features) :]
    for index, name in enumerate(columns.targets):
        if np.ptp(y[:, index]) == 0:
            raise UserError(
                f"{table.name}: the target {name!r} is {y[0, index]:g} in every row, so there is nothing to learn"
            )
    return Rows(kept[:, : len(columns.features)], y, len(values) - len(kept))


def _missing(table: Table, names: Sequence[str], values: np.ndarray, finite: np.ndarray) -> str:
    row = int(np.argmin(finite))
    column = int(np.argmin(np.isfinite(values[row])))
    num_rows, num_infinite = int((~finite).sum()), int(np.isinf(values).sum())
    kinds = [f"{int(np.isnan(values).sum()):,} empty", f"{num_infinite:,} infinite or too large"]
    counts = " and ".join(kind for kind in kinds if not kind.startswith("0 "))
    what = "empty" if math.isnan(values[row, column]) else "infinite or too large"
    return (
        f"{table.name} has {counts} cells in {num_rows:,} of its {len(values):,} rows, the first in row "
        f"{row + table.first_row:,}, column {names[column]!r} ({what}); fill them, leave columns out by --features, or "
        f"leave such rows out by --drop-missing"
    )
