"""What sources of files with named columns have in common, whatever the format of the files is."""

from __future__ import annotations

import copy
import hashlib
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from varbump.core.checks import check_shares
from varbump.core.extras import need
from varbump.core.random import generator
from varbump.data.sources.base import BLOCK_ROWS, Rows, Source
from varbump.data.sources.paths import found

__all__ = ["Part", "TabularSource", "first_line", "named_columns"]

Tabular = TypeVar("Tabular", bound="TabularSource")

SAMPLE = 65_536
"""Bytes of each group that take part in the checksum."""


@dataclass(frozen=True)
class Part:
    """A file of a source.

    Attributes
    ----------
    path : Path
    groups : list of int
        Number of rows in each group.
    schema : pyarrow.Schema
    starts : list of int
        Where in the file each group begins.
    footer : object
        What the format needs to read a group without reading the description of the file again.
    """

    path: Path
    groups: list[int]
    schema: Any
    starts: list[int]
    footer: Any = None


class TabularSource(Source):
    """Rows of files with named columns.

    Parameters
    ----------
    path : str or path, or a sequence of these
        A file, a folder, or a pattern such as ``"part-*.parquet"``.
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
    """

    endings: tuple[str, ...]

    def __init__(
        self,
        path: Any,
        target: str | Sequence[str] | None = None,
        features: Sequence[str] | None = None,
        sample_weight: str | None = None,
        *,
        block_rows: int = BLOCK_ROWS,
        pool_rows: int | None = None,
    ) -> None:
        super().__init__(block_rows=block_rows, pool_rows=pool_rows)
        self._arrow = need("pyarrow", f"sources.{type(self).__name__}", "parquet")
        self.files = found(path, self.endings)
        self._parts = [self._opened(file) for file in self.files]
        schema = self._parts[0].schema
        given, self.target, others = named_columns(target, features, sample_weight)
        self.features = [name for name in schema.names if name not in others] if given is None else given
        self.weighted, self._weight = sample_weight is not None, sample_weight
        if not self.features:
            raise ValueError("features must name a column at least")
        self._names = [*self.features, *others]
        if len(set(self._names)) < len(self._names):
            twice = next(name for name in self._names if self._names.count(name) > 1)
            raise ValueError(f"column {twice!r} can be only one of features, target and sample_weight, and only once")
        for part in self._parts:
            self._check_columns(part)
        self.x_shape, self.y_shape = (len(self.features),), (len(self.target),)
        self._of_group = [(part, index) for part in self._parts for index in range(len(part.groups))]
        self.groups = [size for part in self._parts for size in part.groups]
        if not sum(self.groups):
            raise ValueError(f"{self._parts[0].path} and {len(self._parts) - 1} other files have no rows")
        narrow = all(self._fits_float32(schema.field(name).type) for name in self._names)
        self.dtype = np.dtype(np.float32 if narrow else np.float64)

    @abstractmethod
    def _open(self, path: Path) -> Part:
        """Read the description of a file."""

    @abstractmethod
    def _batches(self, part: Part, group: int, size: int, names: list[str]) -> Iterator[Any]:
        """Yield a group as record batches of at most `size` rows with these columns."""

    def read(self, group: int, size: int) -> Iterator[Rows]:
        """Yield the rows of a group in pieces of at most `size` rows; missing entries are nan."""
        for _, rows in self.read_part(group, size, 0, 1):
            yield rows

    def read_part(self, group: int, size: int, part: int, of: int) -> Iterator[tuple[range, Rows]]:
        """Yield every row of a group whose number is `part` modulo `of`, with the numbers, like `read`."""
        if not self._numbers_only:
            self.check_numbers()
        first = 0
        for batch in self._read(group, size, self._names):
            begin = (part - first) % of
            rows = self._rows(batch, self._table(batch, self.features, begin, of), begin, of)
            yield range(first + begin, self.groups[group], of), rows
            first += batch.num_rows

    def read_table(self, group: int, size: int) -> Iterator[Rows]:
        """Yield the rows of a group with the features as data frames of pandas, of any types."""
        need("pandas", f"sources.{type(self).__name__} with an estimator", "parquet")
        for batch in self._read(group, size, self._names):
            yield self._rows(batch, batch.select(self.features).to_pandas())

    @cached_property
    def _numbers_only(self) -> bool:
        kinds = (part.schema.field(name).type for part in self._parts for name in self.features)
        return all(map(self._is_number, kinds))

    def check_numbers(self) -> None:
        """Raise a ValueError that names the first feature of text, dates and the like."""
        for part in self._parts:
            for name in self.features:
                kind = part.schema.field(name).type
                if not self._is_number(kind):
                    raise ValueError(
                        f"{part.path}: column {name!r} holds {kind}, no numbers; leave it out of features, convert it, "
                        f"or use varbump.VariationalRegressor, which takes categories and dates"
                    )

    def split(self: Tabular, share: float, seed: int = 0) -> tuple[Tabular, Tabular]:
        """Split the groups at random into two sources, of which the second has about this share of the rows.

        Parameters
        ----------
        share : float
            In (0, 1).
        seed : int, default=0

        Returns
        -------
        TabularSource, TabularSource
            Such as training and validation data; together they have each group once.

        Raises
        ------
        ValueError
            If `share` is out of range, or there is only one group.
        """
        (share,) = check_shares(share, "share").tolist()
        if len(self.groups) < 2:
            raise ValueError(f"{self!r} has a single group of rows, which cannot be split; write smaller row groups")
        order = generator(seed).permutation(len(self.groups))
        before = np.concatenate([[0], np.cumsum(np.array(self.groups)[order])[:-1]])
        chosen = np.zeros(len(order), bool)
        chosen[order] = before < share * self.num_data
        chosen[order[-1]] = False
        return self._with(np.flatnonzero(~chosen)), self._with(np.flatnonzero(chosen))

    def _with(self: Tabular, chosen: np.ndarray) -> Tabular:
        """Return a source of some of the groups."""
        other = copy.copy(self)
        for name in ("num_data", "total_weight", "digest"):  # what was known of the other groups
            other.__dict__.pop(name, None)
        other._of_group = [self._of_group[index] for index in chosen.tolist()]
        other.groups = [self.groups[index] for index in chosen.tolist()]
        return other

    @cached_property
    def total_weight(self) -> float:
        """Sum of the weights of the rows; only their column is read."""
        if self._weight is None:
            return float(self.num_data)
        names, groups = [self._weight], range(len(self.groups))
        batches = (batch for group in groups for batch in self._read(group, self.block_rows, names))
        return float(sum(self._table(batch, names).sum() for batch in batches))

    @cached_property
    def digest(self) -> str:
        """Checksum of the descriptions of all files, with the ranges of all columns in Parquet, and of samples.

        The samples are the beginnings of all groups. The chosen columns and the sizes of blocks and pool count, too.
        """
        chosen: list[Any] = [self.features, self.target, self._weight, self.block_rows, self.pool_rows]
        if len(self.groups) < sum(len(part.groups) for part in self._parts):
            chosen.append([(str(part.path.name), index) for part, index in self._of_group])
        total = hashlib.sha256(repr(chosen).encode())
        for part in self._parts:
            size = part.path.stat().st_size
            total.update(f"{size} {part.groups} {part.schema}".encode())
            end = max(SAMPLE, 2 * getattr(part.footer, "serialized_size", 0))
            with open(part.path, "rb") as file:
                for start, length in [*((start, SAMPLE) for start in part.starts), (max(0, size - end), end)]:
                    file.seek(start)
                    total.update(file.read(length))
        return total.hexdigest()

    def place(self, group: int, row: int) -> str:
        """File and row, counted from 0 in the file."""
        part, index = self._of_group[group]
        return f"{self._original(part.path)}, row {sum(part.groups[:index]) + row:,}"

    def column(self, index: int) -> str:
        """Name of a column."""
        return f"column {self._names[index]!r}"

    def __repr__(self) -> str:
        return f"{type(self).__name__} of {self.num_data:,} rows in {len(self.files):,} files"

    def _original(self, path: Path) -> Path:
        """The file that the rows of one of `files` come from."""
        return path

    def _read(self, group: int, size: int, names: list[str]) -> Iterator[Any]:
        part, index = self._of_group[group]
        try:
            yield from self._batches(part, index, size, names)
        except (self._arrow.ArrowException, OSError) as error:
            raise ValueError(f"{part.path} cannot be read: {first_line(error)}") from error

    def _rows(self, batch: Any, x: Any, begin: int = 0, of: int = 1) -> Rows:
        weights = None if self._weight is None else self._table(batch, [self._weight], begin, of)[:, 0]
        return Rows(x, self._table(batch, self.target, begin, of), weights)

    def _table(self, batch: Any, names: list[str], begin: int = 0, of: int = 1) -> np.ndarray:
        """Columns of numbers, with nan where they are missing; every so many rows from `begin` on."""
        table = np.empty((len(range(begin, batch.num_rows, of)), len(names)), self.dtype)
        for place, name in enumerate(names):
            table[:, place] = batch.column(name).to_numpy(zero_copy_only=False)[begin::of]
        return table

    def _opened(self, path: Path) -> Part:
        try:
            return self._open(path)
        except (self._arrow.ArrowException, OSError, ValueError) as error:
            raise ValueError(f"{path} is no such file, or is damaged: {first_line(error)}") from error

    def _check_columns(self, part: Part) -> None:
        """Raise a ValueError unless a file has all columns, and numbers for y and the weights."""
        for name in self._names:
            if name not in part.schema.names:
                names = ", ".join(part.schema.names[:10])
                hint = "; leave target out for rows to predict" if name in self.target else ""
                raise ValueError(f"{part.path} has no column {name!r}; it has {names}{hint}")
            kind = part.schema.field(name).type
            if name not in self.features and not self._is_number(kind):
                raise ValueError(f"{part.path}: column {name!r} holds {kind}, no numbers; convert it")

    def _is_number(self, kind: Any) -> bool:
        types = self._arrow.types
        return types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)

    def _fits_float32(self, kind: Any) -> bool:
        types = self._arrow.types
        narrow = types.is_boolean(kind) or types.is_integer(kind)
        return types.is_float32(kind) or types.is_float16(kind) or (narrow and kind.bit_width <= 16)


def named_columns(
    target: str | Sequence[str] | None, features: Sequence[str] | None, sample_weight: str | None
) -> tuple[list[str] | None, list[str], list[str]]:
    """Names of the features, None if all others are; of the targets; and of the targets and the weights together."""
    if isinstance(features, str):
        raise ValueError(f"features must be a list of columns, got {features!r}")
    targets = [target] if isinstance(target, str) else list(target or ())
    others = targets if sample_weight is None else [*targets, sample_weight]
    return None if features is None else list(features), targets, others


def first_line(error: Exception) -> str:
    """First line of the message of an error."""
    return (str(error).splitlines() or ["unreadable"])[0]
