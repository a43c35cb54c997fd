"""Whole epochs in one XLA program, nothing read back in between.

The step knows no loop and the loop knows no loss: `Step` turns a batch and noise into a gradient,
`CompiledLoop` runs steps over shuffled batches and epochs over steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from varbump.core.random import standard_normal
from varbump.data.batches import BatchPlan
from varbump.forward.elbo import negative_elbo
from varbump.forward.passes import compiled
from varbump.inference.ensemble.step import EnsembleStep
from varbump.inference.vi.optimizers import Adam, KerasOptimizer
from varbump.inference.vi.step import Step

__all__ = ["CompiledLoop", "Epochs"]

MAX_NOISE_BYTES = 64 * 2**20
"""Noise is drawn for as many steps at once as fit into this much memory."""


class Epochs(NamedTuple):
    """Result of a stretch of epochs; the first `num_finished` entries of the arrays count."""

    num_finished: int
    failed: bool  # the epoch after these met a loss or a weight that was not finite
    nll: np.ndarray
    kl: np.ndarray
    val_nll: np.ndarray
    stale: int  # epochs since the one with the lowest loss


class CompiledLoop:
    """Epochs of `step` over x and y, compiled once for a fixed number of epochs a call.

    Parameters
    ----------
    step : Step or EnsembleStep
    optimizer : Adam or KerasOptimizer
    data : (x, y, sample_weight)
        Training data, ndarray (N, ...); the weights are None or of mean 1.
    validation : (x, y) or None
    plan : BatchPlan
    patience : int or None
        Stop after so many epochs without a lower loss.
    """

    def __init__(
        self,
        step: Step | EnsembleStep,
        optimizer: Adam | KerasOptimizer,
        data: tuple[np.ndarray, np.ndarray, np.ndarray | None],
        validation: tuple[np.ndarray, np.ndarray] | None,
        plan: BatchPlan,
        patience: int | None,
    ) -> None:
        self.step, self.plan = step, plan
        self.state = optimizer.initial_state()
        self.keep = [*step.weights, *optimizer.variables]
        self._optimizer, self.patience = optimizer, patience
        self._data = [None if array is None else tf.constant(array) for array in data]
        self._validation = None if validation is None else [tf.constant(array) for array in validation]
        self._best_weights = [tf.convert_to_tensor(v) for v in step.weights] if patience else []
        self.validates = validation is not None
        self._best_loss, self._stale = tf.constant(np.inf, tf.float32), tf.constant(0)
        self._noise_size = step.count_noise([plan.width, *data[0].shape[1:]])
        bytes_a_step = max(self._noise_size, 1) * step.dtype.size
        self._block = max(1, min(plan.steps, MAX_NOISE_BYTES // bytes_a_step))
        self._compiled = compiled(self._run)

    def run(
        self, shuffles: np.ndarray, seeds: np.ndarray, controls: np.ndarray, num_epochs: int, warming: int
    ) -> Epochs:
        """Run `num_epochs` epochs; the arrays may hold more, so that every call has one shape.

        Parameters
        ----------
        shuffles : (E, N + 1) int32
            Rows in the order in which each epoch visits them.
        seeds : (E, 2) int32
        controls : (E, steps, 2) float32
            Step size and KL weight of each step.
        num_epochs : int
            How many of the E to run.
        warming : int
            How many of them have the KL still warming up and cannot be the best yet.
        """
        counts = tf.constant(num_epochs), tf.constant(warming)
        best = self._best_weights, self._best_loss, self._stale
        result = self._compiled(self._data, shuffles, seeds, controls, *counts, self.state, *best)
        done, failed, history, self.state, self._best_weights, self._best_loss, self._stale = result
        nll, kl, val_nll = history.numpy().T
        return Epochs(int(done), bool(failed), nll, kl, val_nll, int(self._stale))

    def restore_best(self) -> None:
        """Give the network the weights of the epoch with the lowest loss."""
        for variable, value in zip(self.step.weights, self._best_weights, strict=True):
            variable.assign(value)

    def snapshot(self) -> dict[str, list[np.ndarray]]:
        """All that the next epochs depend on, beside data, seeds and arguments."""
        best = [*self._best_weights, self._best_loss, self._stale]
        return {
            name: [np.asarray(tensor) for tensor in tensors]
            for name, tensors in (("keep", self.keep), ("state", self.state), ("best", best))
        }

    def restore(self, snapshot: dict[str, Sequence[np.ndarray]]) -> None:
        """Go on from a snapshot.

        Raises
        ------
        ValueError
            If it is of a loop with other variables.
        """
        for name, tensors in self.snapshot().items():
            theirs = [(value.shape, value.dtype) for value in snapshot[name]]
            if theirs != [(value.shape, value.dtype) for value in tensors]:
                raise ValueError(f"the stored state has other shapes ({name}) than this network and optimizer")
        for variable, value in zip(self.keep, snapshot["keep"], strict=True):
            variable.assign(value)
        self.state = [tf.constant(value) for value in snapshot["state"]]
        *best, self._best_loss, self._stale = [tf.constant(value) for value in snapshot["best"]]
        self._best_weights = best

    @property
    def stale(self) -> int:
        """Epochs since the one with the lowest loss."""
        return int(self._stale)

    def _run(
        self, data: Any, shuffles: Any, seeds: Any, controls: Any, num_epochs: Any, warming: Any,
        state: Any, best_weights: Any, best_loss: Any, stale: Any,
    ) -> tuple[Any, ...]:  # fmt: skip
        step = self.step

        def epoch(
            e: Any, _: Any, history: Any, state: Any, best_weights: Any, best_loss: Any, stale: Any
        ) -> tuple[Any, ...]:
            before = [tf.convert_to_tensor(v) for v in self.keep]
            rows = self.shuffled(shuffles[e], data)
            nll, new_state = self._epoch(rows, seeds[e], controls[e], state)
            kl, val_nll = self._evaluate(rows, seeds[e])
            finite = [tf.math.is_finite(nll + kl), *(tf.reduce_all(tf.math.is_finite(v)) for v in step.variables)]
            ok = tf.reduce_all(tf.stack(finite))
            for variable, value in zip(self.keep, before, strict=True):
                variable.assign(tf.where(ok, variable, value))  # the last finite weights stay
            state = [tf.where(ok, new, old) for new, old in zip(new_state, state, strict=True)]
            row = tf.cast(tf.stack([nll, kl, val_nll]), tf.float32)
            history = tf.tensor_scatter_nd_update(history, [[e]], [row])
            if self.patience:
                watched = val_nll if self.validates else nll
                loss = tf.cast(negative_elbo(watched, kl, step.num_data), tf.float32)
                better = ok & (e >= warming) & (loss < best_loss)
                best_weights = [tf.where(better, v, b) for v, b in zip(step.weights, best_weights, strict=True)]
                best_loss = tf.where(better, loss, best_loss)
                stale = tf.where(better | (e < warming), 0, stale + 1)
            return e + tf.cast(ok, tf.int32), tf.logical_not(ok), history, state, best_weights, best_loss, stale

        def goes_on(e: Any, failed: Any, *rest: Any) -> Any:
            on = (e < num_epochs) & tf.logical_not(failed)
            return on & (rest[-1] < self.patience) if self.patience else on

        history = tf.zeros([shuffles.shape[0], 3])
        return tf.while_loop(
            goes_on, epoch, (tf.constant(0), tf.constant(False), history, state, best_weights, best_loss, stale)
        )

    def shuffled(self, order: Any, data: Any = None) -> list[tf.Tensor | None]:
        """The training data in the order of one epoch."""
        return [None if array is None else tf.gather(array, order) for array in data or self._data]

    def block_noise(self, seed: Any, start: Any) -> tf.Tensor:
        """Noise of the steps from `start` on, one row a step."""
        return standard_normal([self._block, self._noise_size], seed + tf.stack([0, start]), self.step.dtype)

    def step_noise(self, seed: Any, i: Any) -> tf.Tensor:
        """Noise of step number `i` of an epoch, the row of its block."""
        return self.block_noise(seed, i - i % self._block)[i % self._block]

    def batch(self, i: Any, rows: Any) -> tuple[Any, Any, Any]:
        """Rows of step number `i` of the shuffled rows, and their weights; None where all count alike."""
        first, weights = self.plan.slice(i)
        x, y, sample_weight = (None if rows_ is None else self._window(rows_, first) for rows_ in rows)
        if sample_weight is not None:
            weights = (
                sample_weight / self.plan.width
                if weights is None
                else tf.cast(weights, sample_weight.dtype) * sample_weight
            )
        return x, y, weights

    def one_step(self, i: Any, rows: Any, noise: Any, seed: Any, controls: Any, state: Any) -> tuple[Any, ...]:
        """Step number `i` of an epoch: gradients, mean nll and KL before it, and the state after it."""
        x, y, weights = self.batch(i, rows)
        self._optimizer.load(state)
        gradients, nll, kl = self.step.gradient(x, y, weights, noise, seed + tf.stack([1 + i, 0]), controls[i, 1])
        return gradients, nll, kl, self._optimizer.step(state, gradients, controls[i, 0])

    def _epoch(self, rows: Any, seed: Any, controls: Any, state: Any) -> tuple[tf.Tensor, Any]:
        """Steps over the shuffled rows, up to the first loss that is not finite; the mean nll over them.

        The KL is not summed here: its gradient is cheap, its value would cost as much as the rest of a step.
        """

        def block(start: Any, total: Any, state: Any) -> tuple[Any, ...]:
            noise = self.block_noise(seed, start)

            def one(i: Any, total: Any, state: Any) -> tuple[Any, ...]:
                _, nll, _, state = self.one_step(i, rows, noise[i - start], seed, controls, state)
                return i + 1, total + nll, state

            end = tf.minimum(start + self._block, self.plan.steps)
            return tf.while_loop(lambda i, nll, _: (i < end) & tf.math.is_finite(nll), one, (start, total, state))

        _, total, state = tf.while_loop(
            lambda i, nll, _: (i < self.plan.steps) & tf.math.is_finite(nll),
            block,
            (0, tf.zeros([], self.step.dtype), state),
        )
        self._optimizer.load(state)
        return total / self.plan.steps, state

    def _window(self, array: tf.Tensor, first: tf.Tensor) -> tf.Tensor:
        begin = tf.concat([[first], tf.zeros([array.shape.rank - 1], tf.int32)], 0)
        return tf.slice(array, begin, [self.plan.width, *array.shape[1:]])

    def _evaluate(self, rows: Any, seed: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """KL of the weights as they are, and mean nll of the validation data under one draw of them."""
        x, y = self._validation or [rows[0][:1], rows[1][:1]]
        noise = standard_normal([self._noise_size], seed + tf.constant([0, -1]), self.step.dtype)
        nll, kl, _ = self.step.terms(x, y, None, noise, seed, training=False)
        return kl, nll
