"""Validation on a source, or on arrays, block by block."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from varbump.core.random import standard_normal
from varbump.data.sources import ArraySource, Source
from varbump.data.sources.ahead import Ahead
from varbump.forward.programs import program
from varbump.inference.vi.loop import Loop
from varbump.inference.vi.loss import Batch
from varbump.inference.vi.state import TrainState

__all__ = ["Watched", "watched_source"]

MULTIPLE = 64
"""Blocks are padded to multiples of this many rows."""


def watched_source(validation_data: Any) -> Source:
    """Source of validation data, which may be a pair of arrays."""
    return validation_data if isinstance(validation_data, Source) else ArraySource(*validation_data)


class Watched:
    """Loss of the validation data.

    Parameters
    ----------
    loop : Loop
        The training loop, for its members and its optimiser.
    source : Source
    """

    def __init__(self, loop: Loop, source: Source) -> None:
        self._loop, self._source = loop, source
        loss, members = loop.members.loss, loop.members
        self._dtype = loss.dtype.as_numpy_dtype
        self._capacity = -(-min(source.num_data, source.block_rows) // MULTIPLE) * MULTIPLE
        structure = loss.structure, members.num_members, loop.optimizer.structure, loop.noise_size
        self._program = program("validate", structure, lambda: self._run, loss.network)

    def nll(self, state: TrainState, seed: np.ndarray) -> float:
        """Mean nll over the rows for one draw of the weights, nats per observation; `seed` is that of an epoch."""
        total = 0.0
        with Ahead(map(self._batch, self._source.pieces(min(self._capacity, self._source.block_rows)))) as batches:
            for batch in batches:
                total += float(self._program(batch, seed, self._loop.fixed, state.optimizer, state.moving))
        return total

    def _batch(self, rows: Any) -> Batch:
        weights = np.ones(len(rows.x)) if rows.sample_weight is None else rows.sample_weight
        shares = np.zeros(self._capacity)
        shares[: len(rows.x)] = weights / self._source.total_weight
        kept = np.arange(self._capacity) * (np.arange(self._capacity) < len(rows.x))
        return Batch(rows.x[kept].astype(self._dtype), rows.y[kept].astype(self._dtype), shares.astype(self._dtype))

    def _run(self, batch: Batch, seed: Any, fixed: Any, optimizer: Any, moving: Any) -> tf.Tensor:
        loop = self._loop
        noise = standard_normal([loop.noise_size], seed + tf.constant([0, -1]), loop.members.loss.dtype)
        values = loop.optimizer.values(optimizer)
        return loop.members.evaluate(values, moving, fixed, Batch(*batch), noise, seed)[0]
