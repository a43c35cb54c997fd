"""What every source of rows is: groups of rows that are read piece by piece, and the shuffled blocks made of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from varbump.core.checks import check_count
from varbump.core.random import generator
from varbump.data.sources.ahead import Ahead
from varbump.data.sources.layout import Layout
from varbump.data.sources.moments import Moments
from varbump.data.sources.pool import interleaved, pooled

__all__ = ["BLOCK_ROWS", "Rows", "Source"]

BLOCK_ROWS = 65_536
"""Default number of rows in a block."""

POOL_BLOCKS, OPEN_GROUPS = 16, 8
"""Blocks in the pool from which rows are drawn, and largest number of groups that are open at a time."""

PIECES, VISITS = 128, 4
"""Pieces of which the pool is made at least, and largest number of times that a group is read for that in an epoch."""

POOL_BYTES = 128 * 2**20
"""Bound on the size of the pool of wide tables, which has two blocks at least."""


class Rows(NamedTuple):
    """Some rows of a source.

    Attributes
    ----------
    x, y : ndarray (n, ...), (n, ...)
        Of `Source.read_table`, x may be a data frame.
    sample_weight : ndarray (n,) or None
    """

    x: Any
    y: np.ndarray
    sample_weight: np.ndarray | None = None


class Source(ABC):
    r"""Rows that need not fit into memory: the base of all sources, and of one of your own.

    A subclass sets `groups`, `x_shape`, `y_shape`, `weighted` and `dtype` in its constructor, after
    ``super().__init__()``, and defines `read` and `digest`; all else follows.

    Parameters
    ----------
    block_rows : int, default=65536
        Rows that the training program sees at a time. Blocks of an epoch differ in size by at most one row.
    pool_rows : int, optional
        Rows in memory from which those of a block are drawn at random. The default is sixteen blocks, or what fits into
        128 MiB, but at least two blocks.

    Attributes
    ----------
    groups : sequence of int
        Number of rows in each group. Groups are read in random order, rows within a group in theirs.
    x_shape, y_shape : tuple of int
        Shape of a row of x, and of y.
    weighted : bool
        Whether rows have weights.
    dtype : numpy dtype
        float32 or float64, in which the rows are kept until they are standardised.
    random_order : bool
        Whether the order of the rows is random by itself.

    Notes
    -----
    An epoch is a function of the seed and of its number. Its groups are opened in random order, up to eight at a
    time, and read in pieces, each from a random one of those that are open, into a pool of `pool_rows` rows. A block is
    drawn from the pool without replacement. Every row occurs once in every epoch.

    Where few groups fill the pool, each is read up to four times in an epoch, with every fourth of its rows, so that
    the pool has rows of more groups: in a file that is sorted by a feature, a group is all that is known of a range of
    it, and what is seldom seen is forgotten.
    """

    groups: Sequence[int]
    x_shape: tuple[int, ...]
    y_shape: tuple[int, ...]
    weighted: bool = False
    dtype: np.dtype = np.dtype(np.float64)
    random_order: bool = False

    def __init__(self, *, block_rows: int = BLOCK_ROWS, pool_rows: int | None = None) -> None:
        self.block_rows = check_count(block_rows, "block_rows")
        self._pool_rows = None if pool_rows is None else check_count(pool_rows, "pool_rows")

    @abstractmethod
    def read(self, group: int, size: int) -> Iterator[Rows]:
        """Yield the rows of a group in pieces of at most `size` rows."""

    def read_part(self, group: int, size: int, part: int, of: int) -> Iterator[tuple[range, Rows]]:
        """Yield every row of a group whose number is `part` modulo `of`, with the numbers, like `read`."""
        first = 0
        for x, y, weights in self.read(group, size):
            begin = (part - first) % of
            chosen = Rows(x[begin::of], y[begin::of], None if weights is None else weights[begin::of])
            yield range(first + begin, self.groups[group], of), chosen
            first += len(y)

    def read_table(self, group: int, size: int) -> Iterator[Rows]:
        """Yield a group like `read`, but with x as an estimator takes it: a data frame, if the columns have names."""
        return self.read(group, size)

    def transformed(self, rows: Rows) -> Rows:
        """Rows as they go into blocks; sources that encode or scale what they `read` do so here, where it is needed."""
        return rows

    def check_numbers(self) -> None:  # noqa: B027, since arrays hold nothing else
        """Raise a ValueError if a column of x holds something else than numbers."""

    @property
    @abstractmethod
    def digest(self) -> str | None:
        """Checksum that tells these rows, and the order of their epochs, from others; None if there can be none."""

    @cached_property
    def num_data(self) -> int:
        """Number of rows, N."""
        return int(sum(self.groups))

    @cached_property
    def total_weight(self) -> float:
        """Sum of the weights of the rows, the N of the ELBO; without weights, the number of rows."""
        if not self.weighted:
            return float(self.num_data)
        return float(sum(np.asarray(rows.sample_weight, float).sum() for rows in self.pieces()))

    @property
    def random_access(self) -> bool:
        """Whether the order of the rows differs from epoch to epoch by more than a pool can achieve."""
        return len(self.groups) > 1 or self.num_data <= self.pool_rows

    @property
    def pool_rows(self) -> int:
        """Number of rows in the pool."""
        if self._pool_rows is not None:
            return self._pool_rows
        fitting = POOL_BYTES // max(self._layout.width * self.dtype.itemsize, 1)
        return max(2 * self.block_rows, min(POOL_BLOCKS * self.block_rows, fitting))

    @property
    def num_blocks(self) -> int:
        """Number of blocks in an epoch."""
        return -(-self.num_data // self.block_rows)

    @property
    def largest_block(self) -> int:
        """Number of rows for which programs are compiled: those of the largest block."""
        return self.block_size(0)

    def block_size(self, block: int) -> int:
        """Number of rows in a block; the first ones have at most one more than the last ones."""
        return self.num_data // self.num_blocks + (block < self.num_data % self.num_blocks)

    def epoch(self, seed: int, epoch: int) -> Iterator[Rows]:
        """Yield the blocks of an epoch, the same ones for the same seed and number.

        Raises
        ------
        ValueError
            If an entry is missing or not finite; the message names the file and the row. If the number of rows is not
            what it was.
        """
        layout, rng = self._layout, generator(seed, epoch, self.num_data)
        sizes = (self.block_size(block) for block in range(self.num_blocks))
        size = self._piece_rows
        pieces: Iterator[np.ndarray]
        if self.num_blocks == 1:  # the program shuffles within a block
            pieces = (piece for group in range(len(self.groups)) for piece in self._packed(group, size))
        else:
            pieces = interleaved(map(self._visit, *self._visits(rng)), rng, OPEN_GROUPS)
        for block in pooled(pieces, sizes, self.pool_rows, rng, self.num_data):
            yield Rows(*layout.unpack(block))

    def pieces(self, size: int | None = None) -> Iterator[Rows]:
        """Yield all rows in their own order, in pieces of at most `size` rows; entries are checked as in `epoch`."""
        for group in range(len(self.groups)):
            for table in self._packed(group, size or self.block_rows):
                yield Rows(*self._layout.unpack(table))

    def moments(self) -> tuple[Moments, Moments]:
        """Moments of x and of y, weighted if the rows are, in one pass over the rows, which a thread reads ahead."""
        x, y = Moments.none(self.x_shape), Moments.none(self.y_shape)
        with Ahead(self.pieces()) as pieces:
            for rows in pieces:
                x = x.merged(Moments.of(rows.x, rows.sample_weight))
                y = y.merged(Moments.of(rows.y, rows.sample_weight))
        return x, y

    def check_epochs(self, epochs: int) -> None:
        """Raise a ValueError unless the rows can be read in random order as often as this."""
        if epochs > 1 and not (self.random_access or self.random_order):
            raise ValueError(
                f"{self!r} has no random access, so each of {epochs} epochs would have its rows in about the same "
                f"order; pass epochs=1, or random_order=True to the source if its order is random anyway, or convert "
                f"it to Parquet files with row groups of {BLOCK_ROWS:,} rows"
            )

    def place(self, group: int, row: int) -> str:
        """Name of a row of a group, such as its file and number, for messages."""
        return f"row {int(sum(self.groups[:group])) + row} of the source"

    def column(self, index: int) -> str:
        """Name of a column of x, then y, then the weights, for messages."""
        return self._layout.column(index)

    def __repr__(self) -> str:
        return f"{type(self).__name__} of {self.num_data:,} rows"

    @cached_property
    def _layout(self) -> Layout:
        return Layout(self.x_shape, self.y_shape, self.weighted)

    @property
    def _piece_rows(self) -> int:
        return max(1, min(self.block_rows, self.pool_rows // PIECES))

    def _visits(self, rng: np.random.Generator) -> tuple[list[int], list[int], list[int]]:
        """Group, part and number of parts of each visit of an epoch, in random order."""
        piece = max(self.pool_rows // PIECES, 1)
        parts = [min(VISITS, -(-rows // piece)) if len(self.groups) > 1 else 1 for rows in self.groups]
        visits = np.array([(group, part, of) for group, of in enumerate(parts) for part in range(of)])
        groups, part, of = visits[rng.permutation(len(visits))].T.tolist()
        return groups, part, of

    def _visit(self, group: int, part: int, of: int) -> tuple[int, Iterator[np.ndarray]]:
        """Number of rows of a visit, and their tables."""
        return -(-(self.groups[group] - part) // of), self._packed(group, self._piece_rows * of, part, of)

    def _packed(self, group: int, size: int, part: int = 0, of: int = 1) -> Iterator[np.ndarray]:
        """Yield a group as tables with all columns, whose entries have been checked; every so many rows from `part`."""
        for numbers, rows in self.read_part(group, size, part, of):
            table = self._layout.pack(self.transformed(rows), self.dtype)
            self._check(table, group, numbers)
            if len(table):
                yield table

    def _check(self, table: np.ndarray, group: int, numbers: range) -> None:
        """Raise a ValueError that names the row, of these `numbers`, with an entry that cannot be used."""
        if not np.isfinite(table).all():
            row, column = map(int, np.argwhere(~np.isfinite(table))[0])
            what = "is missing" if np.isnan(table[row, column]) else "is infinite"
            raise ValueError(
                f"{self.place(group, numbers[row])}: {self.column(column)} {what}; drop or fill such rows before"
            )
        if self.weighted and (table[:, -1] < 0).any():
            row = int(np.argmax(table[:, -1] < 0))
            raise ValueError(f"{self.place(group, numbers[row])}: {self.column(table.shape[1] - 1)} is negative")
