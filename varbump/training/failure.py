"""A loss that is not finite: what went first, and where."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

__all__ = ["NonFiniteLossError", "first_culprit"]


REMEDIES = {
    "likelihood": "Scale x and y to about unit size, lower the learning rate, or give the likelihood a larger scale.",
    "KL": "Start the posterior with a smaller scale, or give the prior a larger one.",
    "gradient": "Look for a function that is not differentiable where it was evaluated, or lower the learning rate.",
}


class NonFiniteLossError(ArithmeticError):
    """The loss or a gradient became nan or infinite; the network holds its last finite weights.

    Attributes
    ----------
    epoch : int
        Epoch, counted from 1, in which it happened.
    culprit : str
        "likelihood", "KL" or "gradient of <variable>": what was not finite first.
    """

    def __init__(self, epoch: int, step: int | None, num_steps: int, culprit: str) -> None:
        self.epoch, self.culprit = epoch, culprit
        where = "" if step is None else f", step {step + 1} of {num_steps}"
        when = "the start" if epoch == 1 else f"the end of epoch {epoch - 1}"
        super().__init__(
            f"The loss is not finite in epoch {epoch}{where}: the {culprit} went first. The network holds its weights "
            f"from {when}. {REMEDIES[culprit.split()[0]]}"
        )


def first_culprit(loop: Any, shuffle: np.ndarray, seed: np.ndarray, controls: np.ndarray) -> tuple[str, int | None]:
    """Replay an epoch that failed, step by step, and name what was not finite first, and in which step.

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

    before = [variable.numpy() for variable in loop.keep]
    rows, controls, state = loop.shuffled(shuffle), tf.constant(controls), loop.state
    try:
        for i in range(plan.steps):
            nll, kl, finite, state = one(tf.constant(i), rows, controls, state)
            if not np.isfinite(nll):
                return "likelihood", i
            if not np.isfinite(kl):
                return "KL", i
            if not np.all(finite):
                return f"gradient of {names[int(np.argmin(finite))]}", i
    finally:
        for variable, value in zip(loop.keep, before, strict=True):
            variable.assign(value)
    return "likelihood", None
