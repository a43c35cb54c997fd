"""The parts of a run on a source for several workers."""

from __future__ import annotations

from typing import Any

import numpy as np

from varbump.data.sources import Source
from varbump.debug.failure import NonFiniteLossError
from varbump.inference.stream.alone import Alone
from varbump.inference.stream.course import BlockCourse
from varbump.inference.stream.run import BlockRun
from varbump.inference.vi.failure import non_finite_loss
from varbump.inference.vi.history import History
from varbump.inference.vi.loop import Loop
from varbump.inference.vi.options import Options
from varbump.inference.vi.state import TrainState
from varbump.inference.workers.agreement import check_same_result
from varbump.inference.workers.averaging import worker_seed
from varbump.inference.workers.blocks import SharedBlocks
from varbump.inference.workers.checkpoint import ChiefCheckpoint
from varbump.inference.workers.cluster import Cluster
from varbump.inference.workers.loop import AveragedLoop
from varbump.inference.workers.watch import SharedWatched

__all__ = ["Team"]


class Team(Alone):
    """Parts of a run of several workers.

    Parameters
    ----------
    cluster : Cluster
    every : int
        Steps between two averages, at most.
    """

    def __init__(self, cluster: Cluster, every: int) -> None:
        self._cluster, self._every = cluster, every

    def blocks(self, source: Source, likelihood: Any, options: Options, dtype: str) -> SharedBlocks:
        """Blocks of this worker's share."""
        return SharedBlocks(self._cluster, source, likelihood, options, dtype, self._every)

    def loop(self, *arguments: Any, **options: Any) -> Loop:
        """Loop whose state is averaged after each block."""
        return AveragedLoop(self._cluster, *arguments, **options)

    def watched(self, loop: Loop, source: Source) -> Any:
        """Loss of the validation data, of which each worker computes a share."""
        return SharedWatched(self._cluster, loop, source)

    def checkpoint(self, folder: Any, arguments: dict[str, Any], seed: int) -> ChiefCheckpoint:
        """Checkpoint that the chief reads and writes."""
        return ChiefCheckpoint(self._cluster, folder, arguments, seed)

    def facts(self) -> dict[str, Any]:
        """Number of workers, and how often they average: other numbers are another run."""
        return {"num_workers": self._cluster.count, "average_every": self._every}

    def finish(self, run: BlockRun, state: TrainState, history: History, end: int) -> None:
        """Check that all workers hold the same state, or tell the others that this one stops early."""
        loop: Any = run.loop
        if run.failed or self._cluster.has_stopped:
            return
        if run.num_finished == end or history.stopped == "patience":
            check_same_result(self._cluster, [np.asarray(t) for t in (*state.optimizer, *state.moving)])
        else:
            self._cluster.has_stopped = True
            loop.leave(state, interrupted=run.error is None)

    def failure(self, run: BlockRun, state: TrainState, seed: int, course: BlockCourse, num_blocks: int) -> Exception:
        """Error of a run that was not finite, with its cause where that was here."""
        loop: Any = run.loop
        rank = loop.failed_rank
        if rank is None:
            passes, block = divmod(run.num_finished, num_blocks)
            kept = f"block {block} of epoch {passes + 1}"
            return NonFiniteLossError(
                passes + 1, None, None, "loss of another worker, whose error names it,", None, kept
            )
        return non_finite_loss(loop.part(rank), state, worker_seed(seed, rank), run.num_finished, course, num_blocks)
