"""All epochs of a run, a few a call of the compiled loop: recorded, stopped early, interrupted, resumed."""

from __future__ import annotations

import time

import numpy as np

from varbump.core.progress import TrainingProgress
from varbump.forward.elbo import negative_elbo
from varbump.inference.vi.checkpoint import Checkpoint
from varbump.inference.vi.failure import non_finite_loss
from varbump.inference.vi.history import History
from varbump.inference.vi.loop import CompiledLoop, Epochs

__all__ = ["run_epochs"]


def run_epochs(
    loop: CompiledLoop,
    history: History,
    controls: np.ndarray,
    columns: dict[str, np.ndarray],
    seed: int,
    progress: TrainingProgress,
    saved: Checkpoint | None,
) -> None:
    """Run all epochs, a few a call, and record them; `controls` (E, steps, 2) holds step sizes and KL weights."""
    plan, epochs = loop.plan, len(controls)
    a_call = min(epochs, _epochs_a_call(loop))
    warming = int(np.sum(columns["kl_weight"] < history.temperature))
    first = 0 if saved is None else saved.resume(loop, history)
    with progress:
        try:
            for start in range(first, epochs, a_call):
                chunk = range(start, start + a_call)  # the last one may pass the end: every call has one shape
                shuffles, seeds, block = (
                    plan.shuffles(seed, chunk),
                    plan.seeds(seed, chunk),
                    controls[start : chunk.stop],
                )
                padding = [(0, a_call - len(block)), (0, 0), (0, 0)]
                began = time.perf_counter()
                result = loop.run(shuffles, seeds, np.pad(block, padding), len(block), max(warming - start, 0))
                if start > first:  # the first call compiles
                    history.seconds += time.perf_counter() - began
                    history.timed_steps += result.num_finished * plan.steps
                done = result.num_finished
                history.extend(_columns(loop, result))
                history.extend({name: values[start : start + done] for name, values in columns.items()})
                if result.failed:
                    raise non_finite_loss(loop, start + done + 1, shuffles[done], seeds[done], block[done])
                progress.update(start + done, history.last("loss", "nll", "kl", "val_loss"), history.steps_per_second)
                if done < len(block):
                    history.stopped = "patience"
                    break
                if saved and chunk.stop < epochs:
                    saved.after_chunk(loop, history, chunk.stop)
            if saved and first < epochs:
                saved.write(loop, history, epochs)
        except KeyboardInterrupt:
            history.stopped = "interrupted"
    if loop.patience and len(history.epoch) > warming:
        history.best_epoch = len(history.epoch) - 1 - loop.stale
        loop.restore_best()


def _columns(loop: CompiledLoop, result: Epochs) -> dict[str, np.ndarray]:
    done, num_data = slice(result.num_finished), loop.step.num_data
    nll, kl, val_nll = result.nll[done], result.kl[done], result.val_nll[done]
    columns = {"loss": negative_elbo(nll, kl, num_data), "nll": nll, "kl": kl}
    if loop.validates:
        columns |= {"val_loss": negative_elbo(val_nll, kl, num_data), "val_nll": val_nll}
    return columns


def _epochs_a_call(loop: CompiledLoop) -> int:
    """Epochs that take about a quarter of a second: how often the bar moves, and how long Ctrl-C waits."""
    num_parameters = sum(int(np.prod(v.shape)) for v in loop.step.variables)
    microseconds_a_step = 20.0 + 0.002 * num_parameters  # of a CPU core; its order of magnitude is enough
    return max(1, int(250_000 / (microseconds_a_step * loop.plan.steps)))
