"""Choice of feature and target columns, and the rows to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from varbump.cli.errors import UserError, listed
from varbump.cli.features import Declared, read_features
from varbump.cli.frame import rows_of
from varbump.cli.tables import Table

__all__ = ["Columns", "Rows", "choose", "read_rows"]

FEWEST_ROWS = 10


class Columns(NamedTuple):
    """Names of features and targets, in the order of the model."""

    features: list[str]
    targets: list[str]


class Rows(NamedTuple):
    """Training data x (N, D), a matrix or a `Frame`, and y (N, Q), float64, and the number of rows left out.

    `numbers` (N,) are those of the rows in the table `file`, as in messages; None if they come from several files.
    """

    x: Any
    y: np.ndarray
    num_dropped: int
    numbers: np.ndarray | None = None
    file: str = ""


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


def read_rows(table: Table, columns: Columns, declared: Declared, *, drop_missing: bool) -> Rows:
    """Read all rows of the columns; features may be of any kind, and have empty cells.

    Raises
    ------
    UserError
        If a target is empty or a cell infinite and rows may not be dropped, if fewer than 10 rows are left, or if a
        target is constant.
    """
    x = rows_of(read_features(table, columns.features, declared))
    y = table.read(columns.targets)
    empty, infinite = (np.isnan(x), np.isinf(x)) if isinstance(x, np.ndarray) else (x.missing(), x.infinite())
    if drop_missing:
        fine = np.isfinite(y).all(axis=1) & ~(empty | infinite).any(axis=1)
    else:
        fine = np.ones(len(y), dtype=bool)
        bad = np.concatenate([infinite, ~np.isfinite(y)], axis=1)
        if bad.any():
            raise UserError(_refused(table, [*columns.features, *columns.targets], bad, int(np.isnan(y).sum())))
    x, y = (x, y) if fine.all() else (x[fine], y[fine])
    num_dropped = len(fine) - len(y)
    if len(y) < FEWEST_ROWS:
        without = f" without empty cells (of {len(fine):,})" if num_dropped else ""
        plural = "" if len(y) == 1 else "s"
        raise UserError(
            f"{table.name} has {len(y):,} row{plural}{without}; at least {FEWEST_ROWS} are needed to learn anything"
        )
    numbers = dict(zip(columns.features, x.T, strict=True)) if isinstance(x, np.ndarray) else x.numbers()
    for name, column in [*numbers.items(), *zip(columns.targets, y.T, strict=True)]:
        if np.nanmax(np.abs(column), initial=0.0) > np.sqrt(np.finfo(np.float64).max):
            raise UserError(
                f"{table.name}, column {name!r} holds numbers beyond 1e154, whose spread cannot be computed"
            )
    for index, name in enumerate(columns.targets):
        if np.ptp(y[:, index]) == 0:
            raise UserError(
                f"{table.name}: the target {name!r} is {y[0, index]:g} in every row, so there is nothing to learn"
            )
    return Rows(x, y, num_dropped, table.first_row + np.flatnonzero(fine), table.name)


def _refused(table: Table, names: Sequence[str], bad: np.ndarray, num_empty: int) -> str:
    """Say how many cells (N, C) are empty targets or infinite, and which is the first."""
    row = int(np.argmax(bad.any(axis=1)))
    column = int(np.argmax(bad[row]))
    num_infinite = int(bad.sum()) - num_empty
    kinds = [f"{num_empty:,} empty", f"{num_infinite:,} infinite or too large"]
    counts = " and ".join(kind for kind in kinds if not kind.startswith("0 "))
    return (
        f"{table.name} has {counts} cells in {int(bad.any(axis=1).sum()):,} of its {len(bad):,} rows, the first in row "
        f"{row + table.first_row:,}, column {names[column]!r}; correct them, leave columns out by --features, or leave "
        f"such rows out by --drop-missing"
    )
