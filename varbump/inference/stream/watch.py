"""Validation on a source, or on arrays, block by block."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from varbump.data.sources import ArraySource, Source
from varbump.data.sources.ahead import Ahead
from varbump.forward.programs import program
from varbump.inference.vi.loop import Loop
from varbump.inference.vi.loss import Batch
from varbump.inference.vi.state import TrainState
from varbump.inference.vi.validation import padded_batch, padded_size

__all__ = ["Watched", "watched_source"]


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
        self._capacity = padded_size(min(source.num_data, source.block_rows))
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
        x, y = (part.astype(self._dtype) for part in (rows.x, rows.y))
        return padded_batch(x, y, weights / self._source.total_weight, self._capacity)

    def _run(self, *arguments: Any) -> tf.Tensor:
        """Compute the nll only: the KL would cost as much again."""
        return self._loop.evaluate(*arguments)[0]
