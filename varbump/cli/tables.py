"""Tables of numbers from CSV, TSV and Parquet files, chunk by chunk or whole."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from varbump.cli.cells import as_numbers
from varbump.cli.errors import UserError, did_you_mean, listed
from varbump.cli.parquet_file import ParquetFile
from varbump.cli.text_file import TextFile

__all__ = ["KINDS", "Table", "kind_of", "open_table"]

KINDS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".parquet": None, ".pq": None}
"""Delimiter for each suffix; None for Parquet."""

DELIMITERS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "space": " "}


class Table:
    """An open table whose header has been read.

    Attributes
    ----------
    name : str
        Name of the file, for messages and records.
    columns : list of str
    first_row : int
        Number of the first row of data, for messages.
    """

    def __init__(self, path: Path, delimiter: str | None, name: str) -> None:
        kind = kind_of(path)
        self._file: TextFile | ParquetFile
        if KINDS[kind] is None:
            if delimiter is not None:
                raise UserError(f"--delimiter is for text tables, but {name} is a Parquet file")
            self._file = ParquetFile(path, name)
        else:
            self._file = TextFile(path, delimiter or str(KINDS[kind]), name)
        self.name, self.columns, self.first_row = name, self._file.columns, self._file.first_row
        _check_names(self.name, self.columns)

    def require(self, names: Sequence[str], option: str = "") -> None:
        """Raise a UserError unless the table has these columns."""
        known = set(self.columns)
        for name in names:
            if name not in known:
                raise UserError(f"{self.name} has no column {name!r}{option}{did_you_mean(name, self.columns)}")

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Iterate over batches of these columns: text, or the types of a Parquet file."""
        return self._file.batches(list(names))

    def chunks(self, names: Sequence[str], kept: Sequence[str] = ()) -> Iterator[tuple[np.ndarray, pa.RecordBatch]]:
        """Iterate over values (n, len(names)), float64 with nan for empty cells, and the columns `kept` unchanged."""
        row = self.first_row
        for batch in self._file.batches(list(dict.fromkeys([*names, *kept]))):
            values = np.empty((batch.num_rows, len(names)))
            for index, name in enumerate(names):
                values[:, index] = as_numbers(batch.column(name), name, row, self.name)
            row += batch.num_rows
            yield values, batch.select(list(kept))

    def read(self, names: Sequence[str]) -> np.ndarray:
        """Read all rows, (N, len(names)) float64, with nan for empty cells."""
        parts = [values for values, _ in self.chunks(names)]
        if not sum(map(len, parts)):
            raise UserError(f"{self.name} has no rows, only a header")
        return np.concatenate(parts)


def open_table(path: Path, delimiter: str | None = None, name: str | None = None) -> Table:
    """Open a table, or raise a UserError that says why that fails; it goes by `name`, or by that of the file."""
    if delimiter is not None:
        delimiter = DELIMITERS.get(delimiter, delimiter)
        if len(delimiter) != 1 or delimiter in '"\r\n' or not delimiter.isascii() or delimiter.isalnum():
            raise UserError(f"--delimiter must be one character such as ';' or the word tab, got {delimiter!r}")
    if not path.exists():
        beside = sorted(p.name for p in path.parent.iterdir() if p.is_file()) if path.parent.is_dir() else []
        close = did_you_mean(path.name, beside) if beside else ""
        raise UserError(f"{path}: no such file{close if 'did you mean' in close else ''}")
    if path.is_dir():
        raise UserError(f"{path} is a directory, not a table")
    if not os.access(path, os.R_OK):
        raise UserError(f"{path} may not be read: permission denied")
    if not path.is_file():
        raise UserError(
            f"{path} is no regular file but a pipe, a terminal or a device; write - for a table from standard input, "
            f"or save it to a file first"
        )
    return Table(path, delimiter, name or path.name)


def kind_of(path: Path) -> str:
    """Return the suffix that gives the format of a table, one of `KINDS`; for "x.csv.gz" it is ".csv"."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
        if suffixes and suffixes[-1] in KINDS and KINDS[suffixes[-1]] is None:
            raise UserError(f"{path.name}: Parquet is compressed inside; name it without .gz")
    if not suffixes or suffixes[-1] not in KINDS:
        raise UserError(f"{path.name}: the name must end in .csv, .tsv or .parquet (.csv.gz and .tsv.gz are fine too)")
    return suffixes[-1]


def _check_names(file: str, columns: Sequence[str]) -> None:
    if all(_looks_numeric(name) for name in columns):
        raise UserError(f"{file} has no header: its first row must hold the names of the columns, but holds numbers")
    twice = [name for name, count in Counter(columns).items() if count > 1 and name]
    if twice:
        raise UserError(f"{file} has more than one column {listed(twice)}; each needs a name of its own")
    if "" in columns:
        where = list(columns).index("") + 1
        end = "; remove the delimiter at the end of each row" if where == len(columns) else ""
        raise UserError(f"{file}: column {where} has no name in the header{end}")


def _looks_numeric(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True
