"""Run all epochs, a few per call of the compiled loop: recording, early stopping, interruption, resumption."""

from __future__ import annotations

import time

import numpy as np

from varbump.core.interrupts import safe_point
from varbump.core.progress import TrainingProgress
from varbump.forward.elbo import negative_elbo
from varbump.inference.vi.checkpoint import Checkpoint
from varbump.inference.vi.course import Course
from varbump.inference.vi.history import History
from varbump.inference.vi.loop import Epochs, Loop
from varbump.inference.vi.state import TrainState

__all__ = ["columns_of", "extended", "run_epochs"]


def run_epochs(
    loop: Loop,
    state: TrainState,
    history: History,
    course: Course,
    seed: int,
    progress: TrainingProgress,
    saved: Checkpoint | None,
) -> tuple[TrainState, bool, Exception | None]:
    """Run the epochs of `course`, and record them in `history`.

    Returns the state after the last epoch in the history, whether the next epoch was not finite, and any other error
    that ended the run.

    State and history change together: whenever Ctrl-C arrives, they belong to the same epoch.
    """
    plan, a_call, warming = loop.plan, loop.epochs_a_call, course.warming
    first, state = (0, state) if saved is None else saved.resume(state, history)
    done: tuple[TrainState, dict[str, list[float]]] = (state, history.history)
    course.judge(history.history)
    start, failed = first, False
    error: Exception | None = None
    with progress:
        try:
            safe_point()
            if first < course.end:  # compiles, if necessary
                loop.run(state, seed, range(first, first), course.block(range(0)), 0)
            while start < course.end:
                safe_point()
                chunk = range(start, min(start + a_call, course.end))
                block = course.block(chunk)
                began = time.perf_counter()
                state, result = loop.run(state, seed, chunk, block, max(warming - start, 0))
                history.seconds += time.perf_counter() - began
                history.timed_steps += result.num_finished * plan.steps
                done = state, extended(done[1], columns_of(loop, result, block, loop.validates))
                history.history = done[1]
                start += result.num_finished
                failed = result.failed
                if failed:
                    break
                course.judge(history.history)
                terms = history.last("loss", "nll", "kl", "val_loss")
                progress.update(start, terms, history.steps_per_second, course.expected)
                if start < chunk.stop:
                    history.stopped = "patience"
                    break
                if saved and start < course.end:
                    saved.after_chunk(state, history, start)
            if saved and first < start and not failed:
                saved.keep(state, history, course.end)
        except KeyboardInterrupt:
            if not done[1]:  # nothing was learned, so there is nothing to return
                raise
            history.stopped = "interrupted"
        except (OSError, Warning) as problem:  # of the terminal, or a warning of the checkpoint that is made an error
            error = problem  # what has been learned is not lost with it
    state, history.history = done
    if loop.patience and not failed and len(history.epoch) > warming:
        history.best_epoch = len(history.epoch) - 1 - int(state.stale)
    return state, failed, error


def columns_of(loop: Loop, result: Epochs, block: np.ndarray, validates: bool) -> dict[str, np.ndarray]:
    """Columns of the history for the finished epochs of a call; `block` has the rates and KL weights of their steps."""
    done, num_data = slice(result.num_finished), loop.num_data
    nll, kl, val_nll = result.nll[done], result.kl[done], result.val_nll[done]
    columns = {"loss": negative_elbo(nll, kl, num_data), "nll": nll, "kl": kl}
    if validates:
        columns |= {"val_loss": negative_elbo(val_nll, kl, num_data), "val_nll": val_nll}
    columns["kl_weight"] = block[done, -1, 1]
    if loop.optimizer.uses_rates:
        columns["learning_rate"] = block[done, -1, 0]
    return columns


def extended(columns: dict[str, list[float]], more: dict[str, np.ndarray]) -> dict[str, list[float]]:
    """Columns of a history with more epochs; those given stay as they are."""
    return {name: [*columns.get(name, []), *map(float, values)] for name, values in more.items()}
