"""The held-out rows of which a model is least sure, with the training rows that are nearest to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from varbump.cli.cells_of_json import as_json, short
from varbump.cli.digits import rounded
from varbump.cli.mattered_content import MOST_TARGETS
from varbump.core.printed import Table
from varbump.diagnostics import UncertainRows, uncertain_rows

__all__ = ["Numbered", "numbers_in_a_cell", "uncertain_of", "uncertain_table"]

NUM_ROWS, NUM_NEIGHBOURS = 5, 3

MOST_KNOWN = 50_000
"""Largest number of training rows among which neighbours are looked for; rows are in random order."""


class Numbered(NamedTuple):
    """Rows with what they are called.

    Attributes
    ----------
    x, y : ndarray or Frame (N, D), ndarray (N, Q)
    numbers : ndarray of int (N,) or None
        Numbers of the rows in a file.
    """

    x: Any
    y: np.ndarray
    numbers: np.ndarray | None


def uncertain_of(
    model: Any, features: Sequence[dict[str, Any]], which: Sequence[int], new: Numbered, known: Numbered, file: str
) -> dict[str, Any] | None:
    """Held-out rows of which the model is least sure, with the nearest training rows, as run.json holds them.

    Parameters
    ----------
    model : VariationalRegressor
    features : sequence of dict
    which : sequence of int
        Columns whose cells are shown.
    new, known : Numbered
        Held-out and training rows.
    file : str
        Name of the table in which the held-out rows are numbered.
    """
    among, observed = known.x[:MOST_KNOWN], known.y[:MOST_KNOWN]
    rows = uncertain_rows(
        model, new.x, X_train=among, y_train=observed, num_rows=NUM_ROWS, num_neighbours=NUM_NEIGHBOURS
    )
    numbers = [rows.mean, rows.sd, rows.epistemic_sd, rows.relative_sd, rows.median_sd]
    if not all(np.isfinite(part).all() for part in numbers):
        return None
    found = []
    for index, row in enumerate(rows.rows.tolist()):
        sd = rows.sd[index, :MOST_TARGETS]
        found.append({
            "row": row + 2 if new.numbers is None else int(new.numbers[row]),
            "cells": _row(new.x, which, row),
            "y": new.y[row, :MOST_TARGETS].tolist(),
            "mean": rounded(rows.mean[index, :MOST_TARGETS], sd).tolist(),
            "epistemic_sd": [short(value) for value in rows.epistemic_sd[index, :MOST_TARGETS]],
            "sd": [short(value) for value in sd],
            "relative_sd": short(rows.relative_sd[index]),
            "nearest": _neighbours(rows, index, which, known),
        })  # fmt: skip
    return {
        "numbered_in": file,
        "rows": rows.num_rows,
        "among": len(observed),
        "median_sd": [short(value) for value in rows.median_sd[:MOST_TARGETS]],
        "typical_distance": short(rows.typical_distance),
        "columns": [features[index]["name"] for index in which],
        "found": found,
    }


def uncertain_table(uncertain: dict[str, Any]) -> list[Any]:
    """Return a table of these rows for the terminal, each with its nearest training row, and what to know of it."""
    of = f"Of {uncertain['rows']:,} held-out rows, those with the largest epistemic sd"
    table = Table(title=of, title_justify="left")
    for heading in (f"row of {uncertain['numbered_in']}", "observed", "predicted", "epistemic sd", "x median",
                    "nearest is"):  # fmt: skip
        table.add_column(heading.replace("[", r"\["), justify="right")
    for row in uncertain["found"]:
        away = f"{row['nearest'][0]['distance']:.2g} away" if row["nearest"] else ""
        cells = [numbers_in_a_cell(row[name]) for name in ("y", "mean", "epistemic_sd")]
        table.add_row(str(row["row"]), *cells, f"{row['relative_sd']:.3g}", away)
    return [table, f"Half of the held-out rows have a training row within {uncertain['typical_distance']:.2g}."]


def numbers_in_a_cell(values: Sequence[float]) -> str:
    """Numbers of several targets in one cell."""
    return ", ".join(f"{value:.4g}" for value in values)


def _neighbours(rows: UncertainRows, index: int, which: Sequence[int], known: Numbered) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if rows.neighbours is None or rows.distances is None:
        return found
    for row, distance in zip(rows.neighbours[index].tolist(), rows.distances[index], strict=True):
        one = {
            "cells": _row(known.x, which, row),
            "y": known.y[row, :MOST_TARGETS].tolist(),
            "distance": short(distance),
        }
        found.append(one if known.numbers is None else {"row": int(known.numbers[row]), **one})
    return found


def _row(x: Any, which: Sequence[int], row: int) -> list[Any]:
    """Cells of some columns in one row."""
    columns = [x[:, index] if isinstance(x, np.ndarray) else x[x.columns[index]] for index in which]
    return [as_json(column[row : row + 1])[0] for column in columns]
