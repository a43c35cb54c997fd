"""Run all epochs, a few per call of the compiled loop: recording, early stopping, interruption, resumption."""

from __future__ import annotations

import time

import numpy as np

from varbump.core.interrupts import safe_point
from varbump.core.progress import TrainingProgress
from varbump.forward.elbo import negative_elbo
from varbump.inference.vi.checkpoint import Checkpoint
from varbump.inference.vi.history import History
from varbump.inference.vi.loop import Epochs, Loop
from varbump.inference.vi.state import TrainState

__all__ = ["run_epochs"]


def run_epochs(
    loop: Loop,
    state: TrainState,
    history: History,
    controls: np.ndarray,
    columns: dict[str, np.ndarray],
    seed: int,
    progress: TrainingProgress,
    saved: Checkpoint | None,
) -> tuple[TrainState, bool, Exception | None]:
    """Run all epochs and record them in `history`.

    Returns the state after the last epoch in the history, whether the next epoch was not finite, and any other error
    that ended the run.

    State and history change together: whenever Ctrl-C arrives, they belong to the same epoch.

    Parameters
    ----------
    controls : ndarray (E, steps, 2)
        Step size and KL weight of each step.
    columns : dict of str to ndarray (E,)
        Further columns of the history, known in advance.
    """
    plan, epochs, a_call = loop.plan, len(controls), loop.epochs_a_call
    warming = int(np.sum(columns["kl_weight"] < history.temperature))
    first, state = (0, state) if saved is None else saved.resume(state, history)
    done: tuple[TrainState, dict[str, list[float]]] = (state, history.history)
    failed = False
    error: Exception | None = None
    with progress:
        try:
            safe_point()
            if first < epochs:  # compiles, if necessary
                loop.run(state, seed, range(first, first), controls[:0], 0)
            for start in range(first, epochs, a_call):
                safe_point()
                chunk = range(start, min(start + a_call, epochs))
                block = controls[start : chunk.stop]
                began = time.perf_counter()
                state, result = loop.run(state, seed, chunk, block, max(warming - start, 0))
                history.seconds += time.perf_counter() - began
                history.timed_steps += result.num_finished * plan.steps
                finished = slice(start, start + result.num_finished)
                more = _columns(loop, result) | {name: values[finished] for name, values in columns.items()}
                done = state, _extended(done[1], more)
                history.history = done[1]
                failed = result.failed
                if failed:
                    break
                progress.update(finished.stop, history.last("loss", "nll", "kl", "val_loss"), history.steps_per_second)
                if finished.stop < chunk.stop:
                    history.stopped = "patience"
                    break
                if saved and chunk.stop < epochs:
                    saved.after_chunk(state, history, chunk.stop)
            if saved and first < epochs and not failed:
                saved.keep(state, history, epochs)
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


def _columns(loop: Loop, result: Epochs) -> dict[str, np.ndarray]:
    done, num_data = slice(result.num_finished), loop.num_data
    nll, kl, val_nll = result.nll[done], result.kl[done], result.val_nll[done]
    columns = {"loss": negative_elbo(nll, kl, num_data), "nll": nll, "kl": kl}
    if loop.validates:
        columns |= {"val_loss": negative_elbo(val_nll, kl, num_data), "val_nll": val_nll}
    return columns


def _extended(columns: dict[str, list[float]], more: dict[str, np.ndarray]) -> dict[str, list[float]]:
    return {name: [*columns.get(name, []), *map(float, values)] for name, values in more.items()}
