"""Rows of Arrow and Feather files, which are mapped into memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from varbump.core.extras import need
from varbump.data.sources.tabular import Part, TabularSource

__all__ = ["ArrowSource"]


class ArrowSource(TabularSource):
    """Rows of files in Arrow's own format, also called Feather (version 2): record batches in random order.

    Parameters
    ----------
    path : str or path, or a sequence of these
        A file, a folder of files that end in ``.arrow``, ``.feather`` or ``.ipc``, or a pattern.
    target, features, sample_weight, block_rows, pool_rows
        As in `ParquetSource`.

    Attributes
    ----------
    files : list of Path
    target, features : list of str

    Raises
    ------
    ImportError, FileNotFoundError, ValueError
        As in `ParquetSource`.
    """

    endings = (".arrow", ".feather", ".ipc")

    def _open(self, path: Path) -> Part:
        with self._mapped(path) as mapped:
            file = self._reader(mapped)
            groups = [file.get_batch(index).num_rows for index in range(file.num_record_batches)]
            step = path.stat().st_size // max(len(groups), 1)
            return Part(path, groups, file.schema, [index * step for index in range(len(groups))])

    def _batches(self, part: Part, group: int, size: int, names: list[str]) -> Iterator[Any]:
        with self._mapped(part.path) as mapped:
            batch = self._reader(mapped).get_batch(group)
            for start in range(0, batch.num_rows, size):
                yield batch.slice(start, size)

    def _mapped(self, path: Path) -> Any:
        return self._arrow.memory_map(str(path))

    def _reader(self, mapped: Any) -> Any:
        return need("pyarrow.ipc", "sources.ArrowSource", "parquet").open_file(mapped)
