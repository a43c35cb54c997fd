"""The mean over all workers of a training state, with what they report of their steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from varbump.core.random import generator
from varbump.inference.vi.state import TrainState
from varbump.inference.workers.cluster import Cluster

__all__ = ["average", "worker_seed"]

OWN = 1_299_709
"""Purpose of the seeds of workers."""


def average(
    cluster: Cluster, states: Sequence[TrainState], reports: Sequence[np.ndarray]
) -> tuple[TrainState, np.ndarray]:
    r"""Average the parameters and the state of the optimiser, :math:`\theta \leftarrow \tfrac1W \sum_w \theta_w`.

    Integers, such as the steps that an optimiser counts, are the same on all workers, and are kept.

    Parameters
    ----------
    cluster : Cluster
    states : sequence of TrainState
        After the last steps, of each device of this process.
    reports : sequence of ndarray (n,)
        Numbers of each device.

    Returns
    -------
    TrainState
        The same on all workers, to the last bit.
    ndarray (n,)
        Sum of the reports over all workers.
    """
    tensors = [[tf.convert_to_tensor(t) for t in (*state.optimizer, *state.moving)] for state in states]
    floating = [t.dtype.is_floating for t in tensors[0]]
    parts = [
        [*(t for t, moves in zip(row, floating, strict=True) if moves), tf.constant(report)]
        for row, report in zip(tensors, reports, strict=True)
    ]
    *sums, report = cluster.total(parts, share=True)
    cluster.has_begun = True
    averaged: Any = iter(sums)
    found = [next(averaged) if moves else t for t, moves in zip(tensors[0], floating, strict=True)]
    count = len(states[0].optimizer)
    state = states[0]._replace(optimizer=found[:count], moving=found[count:])
    return state, np.asarray(report) * cluster.count


def worker_seed(seed: int, rank: int) -> int:
    """Seed of the batches and the noise of one worker."""
    return int(generator(seed, OWN, rank).integers(2**31))
