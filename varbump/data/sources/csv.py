"""Rows of CSV files, which are converted to Parquet in one pass."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from varbump.core.extras import need
from varbump.data.sources.base import BLOCK_ROWS
from varbump.data.sources.parquet import ParquetSource
from varbump.data.sources.paths import found
from varbump.data.sources.tabular import first_line, named_columns

__all__ = ["CSVSource"]

ENDINGS = (".csv", ".tsv", ".csv.gz", ".tsv.gz")

HEAD_BYTES = 2**16
"""Bytes from which the names of the columns are read."""


class CSVSource(ParquetSource):
    """Rows of text tables with a header, converted once to Parquet files, which have random access.

    Parameters
    ----------
    path : str or path, or a sequence of these
        A file, a folder of files that end in ``.csv`` or ``.tsv``, also with ``.gz``, or a pattern.
    target, features, sample_weight, block_rows, pool_rows
        As in `ParquetSource`. Only these columns are converted.
    delimiter : str, optional
        The default is a tab for ``.tsv`` and a comma otherwise.
    cache : str or path, optional
        Existing folder in which the cache is made; the default is that of the system for temporary files.

    Attributes
    ----------
    cache : Path
        Folder of the Parquet files. It is removed by `close`, at the end of a ``with`` block, or with the source.
    files : list of Path
        The Parquet files.
    target, features : list of str

    Raises
    ------
    ImportError, FileNotFoundError
        As in `ParquetSource`.
    ValueError
        If an entry of these columns is no number; the message names file, row and column.
    """

    def __init__(
        self,
        path: Any,
        target: str | Sequence[str] | None = None,
        features: Sequence[str] | None = None,
        sample_weight: str | None = None,
        *,
        delimiter: str | None = None,
        cache: Any = None,
        block_rows: int = BLOCK_ROWS,
        pool_rows: int | None = None,
    ) -> None:
        self._arrow = need("pyarrow", "sources.CSVSource", "parquet")
        self._originals = found(path, ENDINGS)
        features, target, others = named_columns(target, features, sample_weight)
        wanted = None if features is None else [*features, *others]
        self.cache = Path(tempfile.mkdtemp(prefix="varbump-csv-", dir=cache))
        self._remove = weakref.finalize(self, shutil.rmtree, self.cache, ignore_errors=True)
        try:
            for index, file in enumerate(self._originals):
                own = delimiter or ("\t" if ".tsv" in "".join(file.suffixes[-2:]) else ",")
                self._convert(file, self.cache / f"{index:06d}.parquet", own, wanted)
            super().__init__(self.cache, target, features, sample_weight, block_rows=block_rows, pool_rows=pool_rows)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Remove the cache."""
        self._remove()

    def __enter__(self) -> CSVSource:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _original(self, path: Path) -> Path:
        """The text table of a Parquet file, whose rows are counted from 0 below the header."""
        return self._originals[self.files.index(path)]

    def _convert(self, file: Path, to: Path, delimiter: str, wanted: list[str] | None) -> None:
        csv = need("pyarrow.csv", "sources.CSVSource", "parquet")
        parquet = need("pyarrow.parquet", "sources.CSVSource", "parquet")
        parsed = csv.ParseOptions(delimiter=delimiter)
        with self._named(file):
            names = self._header(csv, file, parsed)
            missing = [name for name in wanted or () if name not in names]
            if missing:
                raise ValueError(f"{file} has no column {missing[0]!r}; it has {', '.join(names[:10])}")
            used = csv.ConvertOptions(
                column_types={name: self._arrow.float64() for name in wanted or names},
                include_columns=wanted or names,
                null_values=["", "NA", "N/A", "nan", "NaN", "null", "None"],
            )
            # one thread, with which errors name the row
            read = csv.ReadOptions(use_threads=False)
            with (
                csv.open_csv(file, read_options=read, parse_options=parsed, convert_options=used) as batches,
                parquet.ParquetWriter(to, batches.schema) as writer,
            ):
                for table in _gathered(self._arrow, batches, BLOCK_ROWS):
                    writer.write_table(table, row_group_size=BLOCK_ROWS)

    def _header(self, csv: Any, file: Path, parsed: Any) -> list[str]:
        read = csv.ReadOptions(use_threads=False, block_size=HEAD_BYTES)
        with csv.open_csv(file, read_options=read, parse_options=parsed) as batches:
            return list(batches.schema.names)

    @contextmanager
    def _named(self, file: Path) -> Iterator[None]:
        try:
            yield
        except (self._arrow.ArrowException, OSError) as error:
            raise ValueError(
                f"{file} cannot be converted: {first_line(error)}; leave such columns out of features"
            ) from error


def _gathered(arrow: Any, batches: Any, rows: int) -> Iterator[Any]:
    """Yield tables of at least this many rows, except for the last one."""
    held, count = [], 0
    for batch in batches:
        held.append(batch)
        count += batch.num_rows
        if count >= rows:
            yield arrow.Table.from_batches(held)
            held, count = [], 0
    if held:
        yield arrow.Table.from_batches(held)
