"""A loss that is not finite: what went first, and where."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from varbump.debug.blame import Blame, blame
from varbump.debug.failure import NonFiniteLossError
from varbump.debug.record import Recorder
from varbump.forward.elbo import negative_elbo
from varbump.inference.vi.step import Step
from varbump.model.structure import layer_names, owners, weight_label

__all__ = ["first_culprit", "non_finite_loss"]


def non_finite_loss(loop: Any, epoch: int, shuffle: Any, seed: Any, controls: Any) -> NonFiniteLossError:
    """The error of an epoch that failed, counted from 1: which step, which term, which layer and weight.

    `shuffle`, `seed` and `controls` are those of the epoch.
    """
    culprit, at, found = first_culprit(loop, shuffle, seed, controls)
    if found is not None and not culprit.startswith("gradient"):
        culprit = found.term if found.term in ("scale", "KL") else culprit
    kept = "the start" if epoch == 1 else f"the end of epoch {epoch - 1}"
    return NonFiniteLossError(epoch, at, loop.plan.steps, culprit, found, kept)


def first_culprit(
    loop: Any, shuffle: np.ndarray, seed: np.ndarray, controls: np.ndarray
) -> tuple[str, int | None, Blame | None]:
    """Replay an epoch that failed, step by step: what was not finite first, in which step, and what is behind it.

    The draws and batches are functions of the seed, so the replay takes the path of the run. The weights are put
    back afterwards.
    """
    step, plan = loop.step, loop.plan
    names = [variable.name for variable in step.variables]

    @tf.function(jit_compile=True, autograph=False)
    def one(i: Any, rows: Any, controls: Any, state: Any) -> Any:
        gradients, nll, kl, state = loop.one_step(i, rows, loop.step_noise(seed, i), seed, controls, state)
        zero = tf.zeros([], step.dtype)
        finite = [tf.reduce_all(tf.math.is_finite(zero if g is None else g)) for g in gradients]
        return nll, kl, finite, state

    def explain(i: int, previous: Any, state: Any) -> Blame | None:
        for variable, value in zip(loop.keep, previous, strict=True):
            variable.assign(value)
        loop._optimizer.load(state)
        return _explain(loop, i, rows, seed, controls) if isinstance(step, Step) else None

    before = [variable.numpy() for variable in loop.keep]
    rows, controls, state = loop.shuffled(shuffle), tf.constant(controls), loop.state
    try:
        for i in range(plan.steps):
            previous, before_step = [variable.numpy() for variable in loop.keep], state
            nll, kl, finite, state = one(tf.constant(i), rows, controls, state)
            if not np.isfinite(nll):
                return "likelihood", i, explain(i, previous, before_step)
            if not np.isfinite(kl):
                return "KL", i, explain(i, previous, before_step)
            if not np.all(finite):
                name = names[int(np.argmin(finite))]
                return f"gradient of {name}", i, explain(i, previous, before_step)
    finally:
        for variable, value in zip(loop.keep, before, strict=True):
            variable.assign(value)
    return "likelihood", None, None


def _explain(loop: Any, i: int, rows: Any, seed: Any, controls: Any) -> Blame:
    """Go through the forward and the backward pass of one step, operation by operation, at the present weights."""
    step, own, held = loop.step, owners(loop.step.network), {}
    labels = [f"{own.get(v.ref(), 'the likelihood')}/{weight_label(v)}" for v in step.variables]

    def run() -> Any:
        x, y, _ = loop.batch(i, rows)
        nll, kl, penalty = step.terms(x, y, None, loop.step_noise(seed, i), seed + tf.stack([1 + i, 0]), True)
        loss = negative_elbo(nll + penalty, kl, step.num_data, tf.cast(controls[i, 1], nll.dtype))
        graph = tf.compat.v1.get_default_graph()
        handles = {graph.capture(v.handle).name: key for v, key in zip(step.variables, labels, strict=True)}
        held["recorder"] = Recorder(loss, layer_names(step.network), handles, [x, y])
        return held["recorder"].fetch(loss)

    values, gradients = tf.function(run, autograph=False)()
    record = held["recorder"].record(values, gradients)
    weights = {key: variable.numpy() for key, variable in zip(labels, step.variables, strict=True)}
    return blame(record, {key: key.split("/", 1)[0] for key in labels}, weights)
