"""Tables in several Parquet files: a folder, or a pattern such as "part-*.parquet"."""

from __future__ import annotations

import glob
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from varbump.cli.columns import Columns, Rows
from varbump.cli.errors import UserError
from varbump.cli.frame import rows_of
from varbump.cli.tables import KINDS

__all__ = ["Parts", "files_of", "is_many", "parts_of", "refuse_options"]

MOST_ROWS = 10_000
"""Held-out rows that are scored."""

SINGLE = {"categorical": "--categorical", "numeric": "--numeric", "drop_missing": "--drop-missing",
          "delimiter": "--delimiter"}  # fmt: skip
"""Options that need the whole table."""


class Parts(NamedTuple):
    """Several files as the source of a fit.

    Attributes
    ----------
    source : ParquetSource
        Rows to train with.
    sample : Rows
        Some of them, to describe the columns by.
    held_out : Rows
        Rows to score on, at most 10,000.
    num_held_out : int
        Number of rows that were held out.
    """

    source: Any
    sample: Rows
    held_out: Rows
    num_held_out: int


def is_many(path: Path) -> bool:
    """Whether a path stands for several files."""
    return path.is_dir() or (any(sign in str(path) for sign in "*?[") and not path.exists())


def files_of(path: Path) -> list[Path]:
    """List the Parquet files of a folder or a pattern, or raise a UserError."""
    inside = path.iterdir() if path.is_dir() else map(Path, glob.glob(str(path)))
    files = sorted(p for p in inside if p.is_file() and not p.name.startswith((".", "_")))
    others = [p for p in files if KINDS.get(p.suffix.lower(), ",") is not None]
    if others and not path.is_dir():
        raise UserError(f"{path} matches {others[0].name}, but several files must be Parquet files; name one table")
    files = [p for p in files if p not in others]
    if not files:
        what = " is a directory, and has no Parquet file" if path.is_dir() else ": no file matches this pattern"
        raise UserError(f"{path}{what}")
    return files


def refuse_options(options: dict[str, Any]) -> None:
    """Raise a UserError if an option is given that needs the whole table."""
    given = [option for name, option in SINGLE.items() if options.get(name)]
    if given:
        raise UserError(f"{given[0]} is for a single table, but DATA is several files")


def parts_of(files: list[Path], columns: Columns, test_size: float, seed: int) -> Parts:
    """Open the files as a source, and hold out row groups at random.

    Raises
    ------
    UserError
        If rows cannot be used or held out, or pandas is missing.
    """
    from varbump.cli.learning import library_errors
    from varbump.core.random import generator
    from varbump.data.sources import ParquetSource
    from varbump.estimator.streamed import sampled

    if find_spec("pandas") is None:
        raise UserError('several files need pandas; run: pip install "varbump[parquet]"')
    with library_errors():
        source = ParquetSource(files, columns.targets, columns.features)
        train, held = source.split(test_size, seed) if test_size else (source, None)
        sample = _rows(sampled(train, seed), columns)
        if held is None:
            return Parts(train, sample, Rows(sample.x[:0], sample.y[:0], 0), 0)
        chosen = sampled(held, seed)
        order = generator(seed).permutation(len(chosen.y))[:MOST_ROWS]
        rows = _rows(chosen, columns)
    return Parts(train, sample, Rows(rows.x[order], rows.y[order], 0), held.num_data)


def _rows(rows: Any, columns: Columns) -> Rows:
    """Rows of a source in the forms of the command line: float64, words with None, and datetime64."""
    cells = {}
    for name in columns.features:
        column = rows.x[name]
        if column.dtype.kind in "fiub":
            cells[name] = column.to_numpy(np.float64)
        elif column.dtype.kind == "M":
            cells[name] = column.to_numpy("datetime64[us]")
        else:
            words = column.astype(object)
            cells[name] = words.where(words.notna(), None).to_numpy(object)
    return Rows(rows_of(cells), np.asarray(rows.y, np.float64), 0)
