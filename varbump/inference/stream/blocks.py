"""Blocks of a source in the form of training data, all of one shape, so that one program takes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from varbump.data.batches import BatchPlan
from varbump.data.sources import Rows, Source
from varbump.inference.vi.loop import Data

__all__ = ["Block", "Blocks"]


class Block(NamedTuple):
    """A block of an epoch.

    Attributes
    ----------
    number : int
        Counted through all epochs.
    data : Data
        Its rows, padded by `plan`.
    plan : BatchPlan
    """

    number: int
    data: Data
    plan: BatchPlan


class Blocks:
    """Blocks of all epochs of a run.

    Parameters
    ----------
    source : Source
    likelihood : likelihood
        Checks the observations.
    batch_size : int
        Rows of a step, at most those of a block.
    dtype : str
        Floating type of the network.

    Attributes
    ----------
    num_blocks : int
        Blocks in an epoch.
    steps : int
        Steps in each block.

    Raises
    ------
    ValueError
        If a batch is larger than a block.
    """

    def __init__(self, source: Source, likelihood: Any, batch_size: int, dtype: str) -> None:
        self.source, self.num_blocks = source, source.num_blocks
        self._likelihood, self._batch_size, self._dtype = likelihood, batch_size, dtype
        self._largest = source.largest_block
        if batch_size > self._largest:
            raise ValueError(
                f"batch_size must be at most {self._largest:,}, the rows of a block, got {batch_size:,}; pass a larger "
                f"block_rows to the source"
            )
        self.steps = self.plan(0).steps

    def plan(self, block: int) -> BatchPlan:
        """Batches of a block of an epoch."""
        return BatchPlan(self.source.block_size(block), self._batch_size, self._largest)

    def num_rows(self, index: int) -> int:
        """Number of rows before a block, counted through all epochs."""
        epoch, block = divmod(index, self.num_blocks)
        size, larger = divmod(self.source.num_data, self.num_blocks)
        return epoch * self.source.num_data + block * size + min(block, larger)

    def empty(self) -> Data:
        """Data of the shapes of a block, to compile for."""
        rows = self.source.block_size(0)
        x, y = (np.zeros((rows, *shape)) for shape in (self.source.x_shape, self.source.y_shape))
        return self.data(Rows(x, y, np.ones(rows) if self.source.weighted else None), self.plan(0))

    def data(self, rows: Rows, plan: BatchPlan) -> Data:
        """Rows in the precision of the network, padded by a plan, with weights of mean 1 over the source."""
        weights = rows.sample_weight
        if weights is not None:
            weights = plan.padded(weights * (self.source.num_data / self.source.total_weight)).astype(self._dtype)
        with np.errstate(over="ignore"):  # what is infinite then is reported
            x, y = (plan.padded(part).astype(self._dtype, copy=False) for part in (rows.x, rows.y))
        return Data(x, y, weights, plan.row_weights.astype(self._dtype), None)

    def run(self, seed: int, first: int, end: int) -> Iterator[Block]:
        """Yield the blocks with these numbers; those of an epoch before its first one are read and dropped."""
        for epoch in range(first // self.num_blocks, -(-end // self.num_blocks)):
            for block, rows in enumerate(self.source.epoch(seed, epoch)):
                number = epoch * self.num_blocks + block
                if number >= end:
                    return
                if number >= first:
                    plan = self.plan(block)
                    data = self.data(rows, plan)
                    self._check(data, number)
                    yield Block(number, data, plan)

    def _check(self, data: Data, number: int) -> None:
        for name, values in (("x", data.x), ("y", data.y)):
            if not np.isfinite(values).all():
                raise ValueError(f"{name} of {self.source!r} has values that are infinite in {self._dtype}; rescale it")
        if number < self.num_blocks and hasattr(self._likelihood, "check_observations"):
            self._likelihood.check_observations(data.y, f"y of {self.source!r}")
