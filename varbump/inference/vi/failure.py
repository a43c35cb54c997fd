"""Explain a loss that is not finite: what failed first, and where."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from varbump.core.keras import full_name, named_layers
from varbump.debug.blame import Blame, blame
from varbump.debug.failure import NonFiniteLossError
from varbump.debug.record import Recorder
from varbump.forward.elbo import negative_elbo
from varbump.forward.programs import compiled, tracing
from varbump.forward.stateless import key
from varbump.inference.vi.course import Course
from varbump.inference.vi.loop import Loop
from varbump.inference.vi.loss import Batch
from varbump.inference.vi.state import TrainState
from varbump.model.structure import layer_names, owners, weight_label

__all__ = ["first_culprit", "non_finite_loss"]


def non_finite_loss(
    loop: Loop, state: TrainState, seed: int, epoch: int, course: Course, num_blocks: int = 1
) -> NonFiniteLossError:
    """Make the error of an epoch that failed, which names the step, the term, the layer and the weight.

    Parameters
    ----------
    loop : Loop
    state : TrainState
        State before the epoch.
    seed : int
        Seed of the run.
    epoch : int
        Counted from 0.
    course : Course
    num_blocks : int, default=1
        Blocks in an epoch of a source, of which `epoch` is then the number, through all epochs.
    """
    controls = loop.controls(course.block(range(epoch, epoch + 1)), epoch)[0]
    culprit, at, found = first_culprit(loop, state, seed, epoch, controls)
    if found is not None and not culprit.startswith("gradient"):
        culprit = found.term if found.term in ("scale", "KL") else culprit
    passes, block = divmod(epoch, num_blocks)
    kept = "the start" if epoch == 0 else f"the end of epoch {passes}"
    if block:
        kept = f"block {block} of epoch {passes + 1}"
    step = None if at is None else block * loop.plan.steps + at
    return NonFiniteLossError(passes + 1, step, num_blocks * loop.plan.steps, culprit, found, kept)


def first_culprit(
    loop: Loop, state: TrainState, seed: int, epoch: int, controls: np.ndarray
) -> tuple[str, int | None, Blame | None]:
    """Replay a failed epoch step by step, to find what was not finite first, in which step, and why.

    Draws and batches are functions of the seed, so the replay repeats the steps of the run.
    """
    epochs = range(epoch, epoch + 1)
    order, of_epoch = loop.plan.shuffles(seed, epochs, 1)[0], loop.plan.seeds(seed, epochs, 1)[0]
    rows, data = loop.rows(loop.data, order), loop.data

    def step(i: Any, rows: Batch, noise_seed: Any, controls: Any, fixed: Any, state: Any) -> Any:
        batch, noise = loop.batch(i, rows, data.row_weights), loop.step_noise(noise_seed, i)
        own_seed = noise_seed + tf.stack([1 + i, 0])
        after, result = loop.step(TrainState(*state), batch, noise, own_seed, controls[i], fixed)
        return result.nll, result.kl, [tf.reduce_all(tf.math.is_finite(g)) for g in result.gradients], tuple(after)

    replay = compiled(step)
    for i in range(loop.plan.steps):
        with tracing():
            result = replay(tf.constant(i), rows, of_epoch, controls, loop.fixed, tuple(state))
        nll, kl, finite, after = result
        culprit = None
        if not np.isfinite(nll):
            culprit = "likelihood"
        elif not np.isfinite(kl):
            culprit = "KL"
        elif not np.all(finite):
            culprit = f"gradient of {full_name(loop.members.loss.trainable[int(np.argmin(finite))])}"
        if culprit:
            found = _explain(loop, state, i, rows, of_epoch, controls) if loop.members.num_members == 1 else None
            return culprit, i, found
        state = TrainState(*after)
    return "likelihood", None, None


def _explain(loop: Loop, state: TrainState, i: int, rows: Batch, seed: Any, controls: Any) -> Blame | None:
    """Check the forward and the backward pass of one step, operation by operation."""
    loss, held = loop.members.loss, {}
    if not loss.explains:
        return None
    own = owners(loss.network)
    labels = [f"{own.get(v.ref(), 'the likelihood')}/{weight_label(v)}" for v in loss.trainable]
    weights = [value[0] for value in loop.optimizer.values(state.optimizer)]
    others = [*(value[0] for value in state.moving), *loop.fixed]
    variables = [*loss.trainable, *loss.moving, *loss.fixed]

    def run(*values: Any) -> Any:
        batch = loop.batch(i, rows, loop.data.row_weights)
        x, y = tf.identity(batch.x), tf.identity(batch.y)
        taken = {key(v): value for v, value in zip(variables, values, strict=True)}
        noise, own_seed = loop.step_noise(seed, i), seed + tf.stack([1 + i, 0])
        nll, kl, penalty, _ = loss.terms(taken, Batch(x, y, None), noise, own_seed)
        total = negative_elbo(nll + penalty, kl, loop.num_data, tf.cast(controls[i, 1], nll.dtype))
        handles = {value.name: label for value, label in zip(values, labels, strict=False)}
        held["recorder"] = Recorder(total, layer_names(loss.network), handles, [x, y])
        return held["recorder"].fetch(total)

    with tracing(), named_layers(loss.network):
        values, gradients = tf.function(run, autograph=False)(*weights, *others)
    record = held["recorder"].record(values, gradients)
    arrays = {label: np.asarray(value) for label, value in zip(labels, weights, strict=True)}
    return blame(record, {label: label.split("/", 1)[0] for label in labels}, arrays)
