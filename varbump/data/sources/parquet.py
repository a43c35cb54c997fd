"""Rows of Parquet files, whose row groups are read in any order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from varbump.core.extras import need
from varbump.data.sources.tabular import Part, TabularSource

__all__ = ["ParquetSource"]

BUFFER = 2**16
"""Bytes of a column that are read at a time; otherwise all of a row group, a million rows by default, is in memory."""


class ParquetSource(TabularSource):
    """Rows of Parquet files: row groups in random order, read as numbers.

    Row groups of about 65,536 rows mix best (``row_group_size=65_536`` of pyarrow); larger ones are read in pieces.

    Parameters
    ----------
    path : str or path, or a sequence of these
        A file, a folder of files that end in ``.parquet`` or ``.pq``, or a pattern such as ``"part-*.parquet"``.
    target : str or sequence of str, optional
        Columns of y; None for rows to predict.
    features : sequence of str, optional
        Columns of x; the default is all others.
    sample_weight : str, optional
        Column of the weights of the rows.
    block_rows, pool_rows : int
        As in `Source`.

    Attributes
    ----------
    files : list of Path
    target, features : list of str

    Raises
    ------
    ImportError
        If pyarrow is missing; install it with ``pip install "varbump[parquet]"``.
    FileNotFoundError
        If there is no such file.
    ValueError
        If a column is missing in a file, or y and the weights do not hold numbers. Features of text or dates are
        refused by `varbump.fit`, and encoded by `varbump.VariationalRegressor`. Entries that are missing or not finite
        are found when they are read; the message then names file, row and column.
    """

    endings = (".parquet", ".pq")

    def _open(self, path: Path) -> Part:
        with need("pyarrow.parquet", "sources.ParquetSource", "parquet").ParquetFile(path) as file:
            footer = file.metadata
            groups = [footer.row_group(index) for index in range(footer.num_row_groups)]
            starts = [_start(group) for group in groups]
            return Part(path, [group.num_rows for group in groups], file.schema_arrow, starts, footer)

    def _batches(self, part: Part, group: int, size: int, names: list[str]) -> Iterator[Any]:
        parquet = need("pyarrow.parquet", "sources.ParquetSource", "parquet")
        with parquet.ParquetFile(part.path, metadata=part.footer, buffer_size=BUFFER, pre_buffer=False) as file:
            yield from file.iter_batches(size, row_groups=[group], columns=names, use_threads=False)


def _start(group: Any) -> int:
    """Where in the file a row group begins."""
    columns = [group.column(index) for index in range(group.num_columns)]
    first = [c.dictionary_page_offset or c.data_page_offset for c in columns]
    return min(first, default=0)
