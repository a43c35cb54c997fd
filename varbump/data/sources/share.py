"""The part of a source that one of several workers trains on."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from varbump.core.random import generator
from varbump.data.sources.base import Rows, Source

__all__ = ["Share"]

DEAL = 7
"""Seed of the random order in which groups are dealt out: neighbours in a sorted file go to different workers."""


class Share(Source):
    """Rows of one of W workers, which together have each row once.

    Groups are dealt out in an order that is random but always the same, so a worker reads the same files in every
    epoch. The shares of the workers differ by one row at most: a group that lies on the border of two is read by both,
    each of which takes its own rows.

    All shares have the same number of blocks, whose largest size is the same too, so that all workers take the same
    steps with the same program.

    Parameters
    ----------
    source : Source
    rank, count : int
        Number of the worker, from 0, and of all workers, W.
    block_rows : int
        Rows that the worker trains on between two averages, at most.

    Raises
    ------
    ValueError
        If there are fewer rows than workers.
    """

    def __init__(self, source: Source, rank: int, count: int, block_rows: int) -> None:
        super().__init__(block_rows=max(block_rows, 2), pool_rows=source.pool_rows)
        if source.num_data < count:
            raise ValueError(f"x must have a row for each worker, but there are {source.num_data} rows and {count}")
        self._whole, self._rank, self._count = source, rank, count
        self.x_shape, self.y_shape = source.x_shape, source.y_shape
        self.weighted, self.dtype, self.random_order = source.weighted, source.dtype, source.random_order
        size, larger = divmod(source.num_data, count)
        self._largest = size + bool(larger)
        begin = rank * size + min(rank, larger)
        self._parts = _cut(source.groups, begin, begin + size + (rank < larger))
        self.groups = [high - low for _, low, high in self._parts]

    @property
    def num_blocks(self) -> int:
        """Number of blocks in an epoch, the same for all workers."""
        return -(-self._largest // self.block_rows)

    @property
    def largest_block(self) -> int:
        """Rows of the largest block of any worker, at most one more than the largest one here."""
        return -(-self._largest // self.num_blocks)

    @cached_property
    def total_weight(self) -> float:
        """The part of the sum of the weights of all rows, in proportion to the rows of the share.

        So `num_data / total_weight`, by which weights are scaled to mean 1, is that of the whole source.
        """
        return self._whole.total_weight * self.num_data / self._whole.num_data

    def read(self, group: int, size: int) -> Iterator[Rows]:
        """Yield the rows of a part of a group in pieces of at most `size` rows."""
        index, low, high = self._parts[group]
        first = 0
        for rows in self._whole.read(index, size):
            part = slice(max(low - first, 0), max(high - first, 0))
            first += len(rows.y)
            if len(rows.y[part]):
                x, y, weights = rows
                yield Rows(x[part], y[part], None if weights is None else weights[part])
            if first >= high:
                return

    def read_part(self, group: int, size: int, part: int, of: int) -> Iterator[tuple[range, Rows]]:
        """Yield every row whose number is `part` modulo `of`, as the whole source does it where it can."""
        index, low, high = self._parts[group]
        whole = (low, high) == (0, self._whole.groups[index])
        return self._whole.read_part(index, size, part, of) if whole else super().read_part(group, size, part, of)

    def transformed(self, rows: Rows) -> Rows:
        """Rows as the whole source transforms them."""
        return self._whole.transformed(rows)

    def check_numbers(self) -> None:
        """Raise a ValueError if a column of x holds something else than numbers."""
        self._whole.check_numbers()

    @property
    def digest(self) -> str | None:
        """Checksum of the whole source, with the number of this share."""
        whole = self._whole.digest
        return None if whole is None else f"{whole} {self._rank}/{self._count}"

    def place(self, group: int, row: int) -> str:
        """Name of a row in the whole source."""
        index, low, _ = self._parts[group]
        return self._whole.place(index, low + row)

    def column(self, index: int) -> str:
        """Name of a column in the whole source."""
        return self._whole.column(index)

    def __repr__(self) -> str:
        return repr(self._whole)


def _cut(groups: object, begin: int, end: int) -> list[tuple[int, int, int]]:
    """Groups, with their first row and the end, that make up the rows from `begin` to `end` in the order of dealing."""
    sizes = np.asarray(groups, np.int64)
    order = generator(DEAL).permutation(len(sizes))
    ends = np.cumsum(sizes[order])
    starts = ends - sizes[order]
    low, high = np.maximum(begin - starts, 0), np.minimum(end - starts, sizes[order])
    return [(int(g), int(a), int(b)) for g, a, b in zip(order, low, high, strict=True) if a < b]
