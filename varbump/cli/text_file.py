"""Reading of CSV and TSV files in batches, with every row as wide as the header."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import csv

from varbump.cli.errors import UserError

__all__ = ["TextFile"]

BLOCK_BYTES = 4 * 2**20
"""Bytes read at a time; a row must fit."""

OTHERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
"""Delimiters to suggest for a file with a single column."""


class TextFile:
    """A text table.

    Parameters
    ----------
    path : Path
    delimiter : str
        One character.
    name : str
        Name of the table, for messages.

    Attributes
    ----------
    columns : list of str
        Names in the header.
    first_row : int
        Number of the first row of data, as in a spreadsheet.
    """

    first_row = 2

    def __init__(self, path: Path, delimiter: str, name: str) -> None:
        self._path, self._delimiter, self._name = path, delimiter, name
        with open(path, "rb") as file:
            start = file.read(4096)
        if not start:
            raise UserError(f"{name} is empty")
        if b"\0" in start and not path.suffix == ".gz":
            raise UserError(f"{name} is not a text table: it holds binary data (a spreadsheet? export it as CSV)")
        self.columns = self._header()
        if len(self.columns) == 1:
            for other, what in OTHERS.items():
                if other in self.columns[0] and other != delimiter:
                    option = "tab" if other == "\t" else other
                    raise UserError(
                        f"{name} has a single column, {self.columns[0][:60]!r}; is its delimiter {what}? "
                        f'Then add --delimiter "{option}"'
                    )

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Iterate over batches of these columns, as text."""
        convert = csv.ConvertOptions(
            column_types={name: pa.string() for name in names}, include_columns=list(names), strings_can_be_null=False
        )
        yield from self._guarded(lambda: self._open(convert))

    def _header(self) -> list[str]:
        return list(self._guarded(lambda: self._open(csv.ConvertOptions()).schema.names))

    def _open(self, convert: csv.ConvertOptions) -> Any:
        stream = pa.input_stream(str(self._path), compression="detect")
        return csv.open_csv(
            stream,
            read_options=csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),  # threads lose the row number
            parse_options=csv.ParseOptions(delimiter=self._delimiter, newlines_in_values=True),
            convert_options=convert,
        )

    def _guarded(self, read: Any) -> Iterator[Any]:
        """Iterate over the result of `read`, with its errors in our words."""
        try:
            yield from read()
        except UnicodeDecodeError:
            raise UserError(f"{self._name}: the header is not UTF-8 text; save the file as UTF-8") from None
        except pa.ArrowInvalid as error:
            raise UserError(f"{self._name}{_reason(str(error), self._delimiter)}") from None
        except OSError as error:
            raise UserError(f"{self._name} cannot be read: {error}") from None


def _reason(message: str, delimiter: str) -> str:
    if "Empty CSV" in message:
        return " has no rows"
    if ragged := re.search(r"(?:Row #(\d+): )?Expected (\d+) columns, got (\d+)", message):
        row, expected, got = ragged.groups()
        return f", row {row or 'unknown'}: {got} cells, but the header has {expected} (delimiter {delimiter!r})"
    if "UTF8" in message:
        return ": a cell is not UTF-8 text; save the file as UTF-8"
    if "straddling" in message:
        return f": a row is longer than {BLOCK_BYTES // 2**20} MB; is there a quote that is never closed?"
    return f" cannot be read as a table: {message.splitlines()[0]}"
