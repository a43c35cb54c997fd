"""Run all blocks of all epochs: recording, validation, early stopping, interruption, resumption."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from varbump.core.interrupts import safe_point
from varbump.core.progress import TrainingProgress
from varbump.data.sources.ahead import Ahead
from varbump.forward.elbo import negative_elbo
from varbump.inference.stream.blocks import Blocks
from varbump.inference.stream.course import BlockCourse
from varbump.inference.stream.watch import Watched
from varbump.inference.vi.checkpoint import Checkpoint
from varbump.inference.vi.history import History
from varbump.inference.vi.loop import Epochs, Loop
from varbump.inference.vi.run import columns_of, extended
from varbump.inference.vi.state import TrainState

__all__ = ["BlockRun", "Place"]


class Place(NamedTuple):
    """How far a run has come; whenever Ctrl-C arrives, its parts belong to the same block.

    Attributes
    ----------
    number : int
        Of the finished blocks.
    state : TrainState
        After them.
    columns : dict of str to list of float
        History of the finished epochs.
    nll : float
        Sum of the nll of the finished blocks of the epoch under way.
    kl : float
        After the last block, nats.
    """

    number: int
    state: TrainState
    columns: dict[str, list[float]]
    nll: float = 0.0
    kl: float = float("nan")


class BlockRun:
    """Run on a source.

    Parameters
    ----------
    loop : Loop
        Compiled for a block; without patience, since epochs end outside of its program.
    blocks : Blocks
    course : BlockCourse
    seed : int
    watched : Watched or None
        Validation data.
    patience : int or None
    saved : Checkpoint or None

    Attributes
    ----------
    num_finished : int
        Number of finished blocks.
    failed : bool
        Whether the next one was not finite.
    error : Exception or None
        Error of a row, the terminal or the checkpoint that ended the run.
    loop : Loop
        With the data of the last block.
    """

    def __init__(
        self,
        loop: Loop,
        blocks: Blocks,
        course: BlockCourse,
        seed: int,
        watched: Watched | None,
        patience: int | None,
        saved: Checkpoint | None,
    ) -> None:
        self.loop, self._blocks, self._course, self._seed = loop, blocks, course, seed
        self._watched, self._patience, self._saved = watched, patience, saved
        self.num_finished, self.failed = 0, False
        self.error: Exception | None = None

    def __call__(self, state: TrainState, history: History, progress: TrainingProgress) -> TrainState:
        """Run from a state, or from the checkpoint, to the end; return the state after the last block."""
        if self._patience:
            state = state._replace(best=self._values(state))
        first, state = (0, state) if self._saved is None else self._saved.resume(state, history)
        place = Place(first, state, history.history, *(self._saved.so_far if self._saved else ()))
        count, end = self._blocks.num_blocks, self._course.end
        with progress:
            try:
                safe_point()
                with Ahead(self._blocks.run(self._seed, first, end)) as blocks:
                    for block in blocks:
                        self.loop = self.loop.on(block.data, block.plan)
                        if block.number == first:  # compiles, if necessary, after the first rows have been checked
                            self._run(place.state, range(first, first), self._course.block(range(0)))
                        controls = self._course.block(range(block.number, block.number + 1))
                        began = time.perf_counter()
                        state, result = self._run(place.state, range(block.number, block.number + 1), controls)
                        history.seconds += time.perf_counter() - began
                        if result.failed:
                            self.failed = True
                            break
                        history.timed_steps += self._blocks.steps
                        place = self._after(place, state, result, controls)
                        history.history = place.columns
                        self._show(progress, place, history)
                        if self._patience and int(place.state.stale) >= self._patience:
                            history.stopped = "patience"
                            break
                        if self._saved and place.number < end:
                            self._saved.so_far = place.nll, place.kl
                            self._saved.after_chunk(place.state, history, place.number)
                if self._saved and first < place.number and not self.failed:
                    self._saved.so_far = ()
                    self._saved.keep(place.state, history, end)
            except KeyboardInterrupt:
                if not place.number:  # nothing was learned, so there is nothing to return
                    raise
                history.stopped = "interrupted"
            except (OSError, ValueError, Warning) as problem:  # of a row, the terminal: what has been learned is kept
                self.error = problem
        self.num_finished, num_epochs = place.number, len(history.epoch)
        if self._patience and not self.failed and num_epochs > self._course.warming:
            history.best_epoch = num_epochs - 1 - int(place.state.stale)
        if history.stopped == "interrupted" and place.number % count:
            history.history = self._with_part(place)
        return place.state

    def _run(self, state: TrainState, epochs: range, controls: np.ndarray) -> tuple[TrainState, Epochs]:
        """Run the loop without the weights of the best epoch, which it has no use for."""
        after, result = self.loop.run(state._replace(best=[]), self._seed, epochs, controls, 0)
        return after._replace(best=state.best), result

    def _after(self, place: Place, state: TrainState, result: Epochs, controls: np.ndarray) -> Place:
        """Place after one more block, and at the end of an epoch after its validation."""
        count, number = self._blocks.num_blocks, place.number + 1
        total, kl = place.nll + float(result.nll[0]), float(result.kl[0])
        if number % count:
            return Place(number, state, place.columns, total, kl)
        epoch = number // count - 1
        val_nll = np.float32(np.nan)
        if self._watched is not None:
            (of_block,) = self.loop.plan.seeds(self._seed, range(number - 1, number), 1)
            val_nll = np.float32(self._watched.nll(state, of_block))
        row = Epochs(1, False, np.array([total / count], np.float32), result.kl[:1], np.array([val_nll]))
        columns = columns_of(self.loop, row, controls, self._watched is not None)
        if self._patience:
            watched = val_nll if self._watched is not None else row.nll[0]
            state = self._judged(state, np.float32(negative_elbo(watched, row.kl[0], self.loop.num_data)), epoch)
        return Place(number, state, extended(place.columns, columns), 0.0, kl)

    def _judged(self, state: TrainState, loss: np.float32, epoch: int) -> TrainState:
        """State after an epoch with this loss: with its weights, if they are the best so far."""
        if epoch < self._course.warming:
            return state._replace(stale=tf.constant(0))
        if loss < np.asarray(state.best_loss):
            return state._replace(best=self._values(state), best_loss=tf.constant(loss), stale=tf.constant(0))
        return state._replace(stale=tf.constant(int(state.stale) + 1))

    def _values(self, state: TrainState) -> list[tf.Tensor]:
        return [*self.loop.optimizer.values(state.optimizer), *state.moving]

    def _with_part(self, place: Place) -> dict[str, list[float]]:
        """Columns with an entry for the finished blocks of an epoch that was interrupted, without validation."""
        nll = np.array([place.nll / (place.number % self._blocks.num_blocks)], np.float32)
        row = Epochs(1, False, nll, np.array([place.kl], np.float32), np.array([np.nan], np.float32))
        controls = self._course.block(range(place.number - 1, place.number))
        return extended(place.columns, columns_of(self.loop, row, controls, self._watched is not None))

    def _show(self, progress: TrainingProgress, place: Place, history: History) -> None:
        terms = history.last("val_loss")
        part = place.number % self._blocks.num_blocks
        if part:
            nll = place.nll / part
            terms = {"loss": negative_elbo(nll, place.kl, self.loop.num_data), "nll": nll, "kl": place.kl, **terms}
        else:
            terms = history.last("loss", "nll", "kl", "val_loss")
        progress.update(self._blocks.num_rows(place.number), terms, history.steps_per_second)
