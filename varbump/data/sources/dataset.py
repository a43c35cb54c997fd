"""Rows of a tf.data.Dataset, which are read in the order that it has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from varbump.core.checks import check_count
from varbump.data.sources.base import BLOCK_ROWS, Rows, Source

__all__ = ["DatasetSource"]

BATCH = 4_096
"""Rows of the batches that are made of a dataset without batches."""


class DatasetSource(Source):
    """Rows of a `tf.data.Dataset` of pairs (x, y), or of triples with the weights of the rows.

    A dataset has no random access: its rows come in its own order, through the pool of `Source`, which mixes neighbours
    only. So several epochs are refused unless `random_order` says that it shuffles by itself. Runs of it cannot be
    resumed from a checkpoint, since a dataset cannot be told from others.

    Parameters
    ----------
    dataset : tf.data.Dataset
        Of rows, or of batches of rows of any size.
    num_data : int, optional
        N, the number of rows of an epoch. The default is its cardinality, or else the rows are counted in one pass. It
        must be given for a dataset without an end, of which the first N rows are then an epoch.
    batched : bool, optional
        Whether its elements are batches. By default, they are if y has columns or if the size of x is open in its first
        axis; it must be given for elements x (n,), y (n,), which may be either.
    random_order : bool, default=False
        Whether the dataset shuffles its rows anew in each pass, so that they come in random order.
    block_rows, pool_rows : int
        As in `Source`.

    Raises
    ------
    TypeError
        If it is not a dataset of pairs or triples of tensors.
    ValueError
        If `num_data` or `batched` must be given. If an epoch has another number of rows than `num_data`.
    """

    def __init__(
        self,
        dataset: Any,
        num_data: int | None = None,
        *,
        batched: bool | None = None,
        random_order: bool = False,
        block_rows: int = BLOCK_ROWS,
        pool_rows: int | None = None,
    ) -> None:
        super().__init__(block_rows=block_rows, pool_rows=pool_rows)
        specs = _specs(dataset)
        self._batched = _is_batched(specs) if batched is None else bool(batched)
        self.random_order, self.weighted = random_order, len(specs) == 3
        shapes = [list(spec.shape)[self._batched :] or [1] for spec in specs[:2]]
        if any(size is None for shape in shapes for size in shape):
            raise ValueError(f"dataset must have rows of known shape, got {specs[0].shape} and {specs[1].shape}")
        self.x_shape, self.y_shape = (tuple(shape) for shape in shapes)
        narrow = all(spec.dtype in (tf.float32, tf.float16, tf.bfloat16) for spec in specs)
        self.dtype = np.dtype(np.float32 if narrow else np.float64)
        self._endless = int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY
        self._dataset = dataset if self._batched else dataset.batch(BATCH)
        self.groups = [self._count(dataset) if num_data is None else check_count(num_data, "num_data")]

    def read(self, group: int, size: int) -> Iterator[Rows]:
        """Yield the rows of an epoch in pieces of at most `size` rows."""
        left = self.groups[0] if self._endless else np.inf
        for x, y, *weights in self._dataset.as_numpy_iterator():
            end = int(min(len(x), left))
            left -= end
            for start in range(0, end, size):
                part = slice(start, min(start + size, end))
                yield Rows(x[part], y[part], np.reshape(weights[0][part], -1) if weights else None)
            if not left:
                return

    @property
    def digest(self) -> None:
        """None: the rows of a dataset cannot be told from others."""
        return

    def _count(self, dataset: Any) -> int:
        if self._endless:
            raise ValueError("num_data must be given for a dataset without an end: the rows of an epoch")
        known = int(dataset.cardinality())
        if known >= 0 and not self._batched:
            return known
        return sum(len(x) for x, *_ in self._dataset.as_numpy_iterator())


def _specs(dataset: Any) -> list[Any]:
    specs: Any = getattr(dataset, "element_spec", None)
    tensors = isinstance(specs, tuple) and all(isinstance(spec, tf.TensorSpec) for spec in specs)
    if not tensors or len(specs) not in (2, 3):
        raise TypeError(
            f"dataset must be a tf.data.Dataset of pairs (x, y) or triples (x, y, sample_weight), got "
            f"{type(dataset).__name__ if specs is None else specs}"
        )
    if any(spec.shape.rank is None for spec in specs):
        raise ValueError("dataset must have tensors of known rank; use Dataset.map with tf.ensure_shape")
    return list(specs)


def _is_batched(specs: list[Any]) -> bool:
    x, y = specs[0].shape, specs[1].shape
    if x.rank and x[0] is None:
        return True
    if x.rank == y.rank == 1:
        raise ValueError(
            f"batched must say whether elements x {x}, y {y} are rows or batches of rows: pass batched=False or True"
        )
    return y.rank >= 2 or (x.rank >= 2 and y.rank == 1 and x[0] == y[0])
