"""Reading of Parquet files in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from varbump.cli.errors import UserError

__all__ = ["ParquetFile"]

ROWS = 65_536
"""Rows of a batch."""


class ParquetFile:
    """A Parquet table, with the attributes of `TextFile`; rows are counted from 1."""

    first_row = 1

    def __init__(self, path: Path, name: str) -> None:
        self._name = name
        try:
            self._file = parquet.ParquetFile(path)
            self.columns = list(self._file.schema_arrow.names)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise UserError(f"{name} is not a Parquet file, or it is damaged: {_first_line(error)}") from None

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Iterate over batches of these columns, with their own types."""
        try:
            for batch in self._file.iter_batches(ROWS, columns=list(names)):
                yield batch.select(list(names))
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{self._name} is damaged: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["unreadable"])[0]
