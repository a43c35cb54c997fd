"""The training loop of a worker: the compiled program on its own rows, and then the average over all workers."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tensorflow as tf

from varbump.core.interrupts import is_pending
from varbump.inference.vi.loop import Epochs, Loop
from varbump.inference.vi.state import TrainState
from varbump.inference.workers.averaging import average, worker_seed
from varbump.inference.workers.cluster import Cluster
from varbump.inference.workers.status import ENDED, INTERRUPTED, raise_status, status

__all__ = ["AveragedLoop"]


class AveragedLoop(Loop):
    """Loop whose state is, after each block of steps, the mean of those of all workers.

    XLA has no collectives on CPUs, so the average is taken outside of the program.

    Parameters
    ----------
    cluster : Cluster
    **options
        Those of `Loop`.

    Attributes
    ----------
    failed_rank : int or None
        Worker of this process whose last block was not finite.
    """

    def __init__(self, cluster: Cluster, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.cluster = cluster
        self._parts: list[Loop] = []
        self.failed_rank: int | None = None

    def on(self, data: Any, plan: Any) -> AveragedLoop:
        """Return this loop on other data, with an entry for each device of this process."""
        other: Any = super().on(data[0], plan[0])
        other._parts = []
        for device, part, batches in zip(self.cluster.devices, data, plan, strict=True):
            with tf.device(device):
                other._parts.append(Loop.on(self, part, batches))
        return other

    def part(self, rank: int) -> Loop:
        """Loop of one worker of this process."""
        return self._parts[self.cluster.ranks.index(rank)]

    def run(
        self, state: TrainState, seed: int, epochs: range, block: np.ndarray, warming: int
    ) -> tuple[TrainState, Epochs]:
        """Run a block on each device, and average over all workers; without epochs, only compile.

        The nll and the KL are means over the workers, the KL just before the average.

        Raises
        ------
        WorkerLost
            If another worker has ended, or does not answer in time.
        KeyboardInterrupt
            If Ctrl-C was pressed on any worker; the block does not count, on none of them.
        """

        def one(device: str, rank: int, part: Loop) -> tuple[TrainState, Epochs]:
            with tf.device(device):
                return Loop.run(part, state, worker_seed(seed, rank), epochs, block, warming)

        found = _each(one, self.cluster.devices, self.cluster.ranks, self._parts)
        if not epochs:
            return state, found[0][1]
        stops = status(INTERRUPTED if is_pending() else None)
        kind = self._kind
        reports = [np.array([result.nll[0], result.kl[0], result.failed, *stops], kind) for _, result in found]
        for report, (_, result) in zip(reports, found, strict=True):
            if result.failed:  # nan would hide what the others report
                report[:2] = 0.0
        after, total = average(self.cluster, [parts for parts, _ in found], reports)
        raise_status(total[3:], self.cluster)
        if total[2]:
            ranks = [rank for rank, (_, result) in zip(self.cluster.ranks, found, strict=True) if result.failed]
            self.failed_rank = ranks[0] if ranks else None
            return state, Epochs(0, True, np.zeros(1), np.zeros(1), np.zeros(1))
        nll, kl = (total[:2, None] / self.cluster.count).astype(np.float32)
        return after, Epochs(1, False, nll, kl, np.full(1, np.nan, np.float32))

    @property
    def _kind(self) -> Any:
        """Type of reports, that of the state where it can count, so that both are one vector."""
        return np.float64 if self.members.loss.dtype == tf.float64 else np.float32

    def leave(self, state: TrainState, interrupted: bool) -> None:
        """Tell the others, which wait for the average of a block, that this worker stops before it."""
        report = np.array([0.0, 0.0, 0.0, *status(INTERRUPTED if interrupted else ENDED)], self._kind)
        count = len(self.cluster.ranks)
        average(self.cluster, [state] * count, [report] * count)


def _each(function: Any, *arguments: Sequence[Any]) -> list[Any]:
    """Results for each device, at the same time if there are several."""
    if len(arguments[0]) == 1:
        return [function(*(values[0] for values in arguments))]
    with ThreadPoolExecutor(len(arguments[0])) as threads:
        return list(threads.map(function, *arguments))
