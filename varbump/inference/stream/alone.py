"""The parts of a run on a source that several workers replace by others: here those of one process."""

from __future__ import annotations

from typing import Any

from varbump.data.sources import Source
from varbump.inference.stream.blocks import Blocks
from varbump.inference.stream.course import BlockCourse
from varbump.inference.stream.run import BlockRun
from varbump.inference.stream.watch import Watched
from varbump.inference.vi.checkpoint import Checkpoint
from varbump.inference.vi.failure import non_finite_loss
from varbump.inference.vi.history import History
from varbump.inference.vi.loop import Loop
from varbump.inference.vi.options import Options
from varbump.inference.vi.state import TrainState

__all__ = ["Alone"]


class Alone:
    """What a run on a source is made of in one process; those of several workers are others."""

    def blocks(self, source: Source, likelihood: Any, options: Options, dtype: str) -> Blocks:
        """Blocks of the rows."""
        return Blocks(source, likelihood, options.rows_a_step(source.num_data), dtype)

    def loop(self, *arguments: Any, **options: Any) -> Loop:
        """Loop with these arguments."""
        return Loop(*arguments, **options)

    def watched(self, loop: Loop, source: Source) -> Any:
        """Loss of the validation data."""
        return Watched(loop, source)

    def checkpoint(self, folder: Any, arguments: dict[str, Any], seed: int) -> Checkpoint:
        """Checkpoint of the run."""
        return Checkpoint(folder, arguments, seed)

    def facts(self) -> dict[str, Any]:
        """Arguments of a run by which its checkpoint is told from others, besides its options."""
        return {}

    def finish(self, run: BlockRun, state: TrainState, history: History, end: int) -> None:
        """Do what is to be done at the end of a run of `end` blocks, however it ended, before its errors are raised."""

    def failure(self, run: BlockRun, state: TrainState, seed: int, course: BlockCourse, num_blocks: int) -> Exception:
        """Error of a run that was not finite."""
        return non_finite_loss(run.loop, state, seed, run.num_finished, course, num_blocks)
