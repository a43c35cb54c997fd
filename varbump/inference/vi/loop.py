"""Training loop: whole epochs in one XLA program, without reading results back in between.

The step does not know the loop, and the loop does not know the loss: `Members` computes gradients from a batch and
noise, an optimiser computes the next state from them, and `Loop` runs the steps over shuffled batches and epochs. The
program is a function of the state, the data, the seeds and the controls; all runs of the same structure share it.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from varbump.core.random import standard_normal
from varbump.data.batches import BatchPlan
from varbump.forward.elbo import negative_elbo
from varbump.forward.programs import program
from varbump.inference.vi.loss import Batch
from varbump.inference.vi.members import Gradient, Members
from varbump.inference.vi.optimizers import Adam, KerasOptimizer
from varbump.inference.vi.state import TrainState

__all__ = ["Data", "Epochs", "Loop"]

MAX_NOISE_BYTES = 64 * 2**20
"""Noise is drawn for as many steps at once as fit into this much memory."""

MAX_INDEX_BYTES = 16 * 2**20
"""Bound on the shuffled row indices of one call."""


class Data(NamedTuple):
    """Training and validation data.

    Attributes
    ----------
    x, y : ndarray (capacity, D), (capacity, Q)
    sample_weight : ndarray (capacity,) or (capacity, K) or None
        Weights of the rows, with mean 1 over the data; those of each member, if they differ.
    row_weights : ndarray (steps, width)
        As in `BatchPlan`.
    validation : Batch or None
    """

    x: Any
    y: Any
    sample_weight: Any
    row_weights: Any
    validation: Batch | None


class Epochs(NamedTuple):
    """Result of several epochs; only the first `num_finished` entries of the arrays are valid."""

    num_finished: int
    failed: bool  # whether the next epoch met a loss or a weight that was not finite
    nll: np.ndarray
    kl: np.ndarray
    val_nll: np.ndarray


class Loop:
    """Epochs of a training run.

    Parameters
    ----------
    members : Members
    optimizer : Adam or KerasOptimizer
    data : Data
        Padded by `plan`.
    plan : BatchPlan
    num_data : float
        N in the ELBO: the number of rows, or the sum of their weights.
    patience : int or None
        Stop after this many epochs without improvement.
    epochs_a_call : int, optional
        Largest number of epochs per call of the program; by default those of about a quarter of a second.

    Attributes
    ----------
    fixed : list of Tensor
        Values of the variables that training does not change.
    noise_size : int
        Number of random numbers that a step takes.
    """

    def __init__(
        self,
        members: Members,
        optimizer: Adam | KerasOptimizer,
        data: Data,
        plan: BatchPlan,
        num_data: float,
        patience: int | None,
        epochs_a_call: int | None = None,
    ) -> None:
        loss = members.loss
        self.members, self.optimizer, self.plan = members, optimizer, plan
        self.num_data, self.patience = num_data, patience
        self.fixed = [tf.convert_to_tensor(v) for v in loss.fixed]
        self.data = _tensors(data)
        self.noise_size = loss.count_noise([plan.width, *data.x.shape[1:]])
        bytes_a_step = max(self.noise_size, 1) * loss.dtype.size
        self._block = max(1, min(plan.steps, MAX_NOISE_BYTES // bytes_a_step))
        self.epochs_a_call = epochs_a_call or self._epochs_a_call()
        structure = loss.structure, members.num_members, optimizer.structure, plan.steps, self._block, bool(patience)
        self._program = program("train", structure, lambda: self._run, loss.network)

    @property
    def validates(self) -> bool:
        """Whether there are validation data."""
        return self.data.validation is not None

    def on(self, data: Data, plan: BatchPlan) -> Loop:
        """Return this loop, with the same program, on other data of the same shapes."""
        other = copy.copy(self)
        other.data, other.plan = _tensors(data), plan
        return other

    def start(self, values: Sequence[np.ndarray]) -> TrainState:
        """State before the first epoch, from initial values (K, ...) of the trainable variables."""
        count = self.members.num_members
        moving = [tf.repeat(tf.convert_to_tensor(v)[None], count, 0) for v in self.members.loss.moving]
        best = [*(tf.convert_to_tensor(v) for v in values), *moving] if self.patience else []
        stale = tf.constant(0)
        return TrainState(self.optimizer.start(values), moving, best, tf.constant(np.inf, tf.float32), stale)

    def run(
        self, state: TrainState, seed: int, epochs: range, block: np.ndarray, warming: int
    ) -> tuple[TrainState, Epochs]:
        """Run epochs, at most `epochs_a_call`.

        Parameters
        ----------
        state : TrainState
        seed : int
            Seed of the run.
        epochs : range
            Indices of the epochs.
        block : ndarray (len(epochs), steps, 2)
            Learning rate and KL weight of each step.
        warming : int
            Number of these epochs that are in the KL warm-up and so cannot be the best.
        """
        size = self.epochs_a_call
        shuffles = self.plan.shuffles(seed, epochs, size)
        seeds = self.plan.seeds(seed, epochs, size)
        controls = np.pad(self.controls(block, epochs.start), [(0, size - len(block)), (0, 0), (0, 0)])
        counts = np.array([len(epochs), warming, self.patience or 0], np.int32)
        num_data = np.float64(self.num_data)
        after = self._program(self.data, shuffles, seeds, controls, counts, num_data, self.fixed, tuple(state))
        done, failed, history, *state_after = after
        nll, kl, val_nll = history.numpy().T
        return TrainState(*state_after), Epochs(int(done), bool(failed), nll, kl, val_nll)

    def controls(self, block: np.ndarray, epoch: int) -> np.ndarray:
        """Step size of the optimiser and KL weight / N of each step from `epoch` on, in the network's precision."""
        rates = block[..., 0]
        sizes = self.optimizer.step_sizes(rates.ravel(), epoch * self.plan.steps).reshape(rates.shape)
        controls = np.stack([sizes, block[..., 1]], -1).astype(np.float32)
        return (controls / [1.0, self.num_data]).astype(self.members.loss.dtype.as_numpy_dtype)

    def _run(
        self, data: Data, shuffles: Any, seeds: Any, controls: Any, counts: Any, num_data: Any, fixed: Any, state: Any
    ) -> tuple[Any, ...]:
        num_epochs, warming, patience = tf.unstack(counts)

        def epoch(e: Any, _: Any, history: Any, *parts: Any) -> tuple[Any, ...]:
            state = TrainState(*parts)
            rows = self.rows(data, shuffles[e])
            nll, stepped = self._epoch(data, rows, seeds[e], controls[e], fixed, state)
            watched = data.validation or Batch(rows.x[:1], rows.y[:1], None)
            val_nll, kl = self.evaluate(watched, seeds[e], fixed, stepped.optimizer, stepped.moving)
            values = self.optimizer.values(stepped.optimizer)
            finite = [tf.math.is_finite(nll + kl), *(tf.reduce_all(tf.math.is_finite(v)) for v in values)]
            ok = tf.reduce_all(tf.stack(finite))
            state = tf.nest.map_structure(lambda new, old: tf.where(ok, new, old), stepped, state)  # the last finite
            row = tf.cast(tf.stack([nll, kl, val_nll]), tf.float32)
            history = tf.tensor_scatter_nd_update(history, [[e]], [row])
            if self.patience:
                monitored = val_nll if self.validates else nll
                loss = tf.cast(negative_elbo(monitored, kl, tf.cast(num_data, kl.dtype)), tf.float32)
                better = ok & (e >= warming) & (loss < state.best_loss)
                present = [*values, *state.moving]
                state = state._replace(
                    best=[tf.where(better, v, b) for v, b in zip(present, state.best, strict=True)],
                    best_loss=tf.where(better, loss, state.best_loss),
                    stale=tf.where(better | (e < warming), 0, state.stale + 1),
                )
            return e + tf.cast(ok, tf.int32), tf.logical_not(ok), history, *state

        def goes_on(e: Any, failed: Any, history: Any, *parts: Any) -> Any:
            on = (e < num_epochs) & tf.logical_not(failed)
            return on & (TrainState(*parts).stale < patience) if self.patience else on

        history = tf.zeros([self.epochs_a_call, 3])
        return tf.while_loop(goes_on, epoch, (tf.constant(0), tf.constant(False), history, *TrainState(*state)))

    def rows(self, data: Data, order: Any) -> Batch:
        """Training data in the order of one epoch."""
        return Batch(*(None if a is None else tf.gather(a, order) for a in (data.x, data.y, data.sample_weight)))

    def batch(self, i: Any, rows: Batch, row_weights: Any) -> Batch:
        """Batch number `i` of the shuffled rows."""
        windows: list[Any] = [None if a is None else self._window(a, i) for a in rows]
        x, y, sample_weight = windows
        weights = row_weights[i]
        if sample_weight is not None:
            weights = sample_weight * (weights if sample_weight.shape.rank == 1 else weights[:, None])
        return Batch(x, y, weights)

    def block_noise(self, seed: Any, start: Any) -> tf.Tensor:
        """Noise for a block of steps beginning at `start`, one row per step."""
        return standard_normal([self._block, self.noise_size], seed + tf.stack([0, start]), self.members.loss.dtype)

    def step_noise(self, seed: Any, i: Any) -> tf.Tensor:
        """Noise of step `i` of an epoch, a row of its block."""
        return self.block_noise(seed, i - i % self._block)[i % self._block]

    def step(
        self, state: TrainState, batch: Batch, noise: Any, seed: Any, controls: Any, fixed: Any
    ) -> tuple[TrainState, Gradient]:
        """Take one step of size `controls[0]` with KL share `controls[1]`; return the new state, and the gradients."""
        values = self.optimizer.values(state.optimizer)
        result = self.members.gradient(values, state.moving, fixed, batch, noise, seed, controls[1])
        stepped = self.optimizer.step(state.optimizer, result.gradients, controls[0])
        return state._replace(optimizer=stepped, moving=result.moving), result

    def evaluate(self, batch: Batch, seed: Any, fixed: Any, optimizer: Any, moving: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Compute the mean nll of a batch for one draw of the weights, and the KL, at the end of an epoch of a seed."""
        noise = standard_normal([self.noise_size], seed + tf.constant([0, -1]), self.members.loss.dtype)
        return self.members.evaluate(self.optimizer.values(optimizer), moving, fixed, batch, noise, seed)

    def _epoch(
        self, data: Data, rows: Batch, seed: Any, controls: Any, fixed: Any, state: TrainState
    ) -> tuple[tf.Tensor, TrainState]:
        """Run the steps of one epoch, until a loss is not finite; return the mean nll and the next state.

        The KL is not summed here: its gradient is cheap, but its value would cost as much as the rest of a step.
        """

        def block(start: Any, total: Any, *moved: Any) -> tuple[Any, ...]:
            noise = self.block_noise(seed, start)

            def one(i: Any, total: Any, *moved: Any) -> tuple[Any, ...]:
                batch, before = (
                    self.batch(i, rows, data.row_weights),
                    state._replace(optimizer=moved[0], moving=moved[1]),
                )
                own_seed = seed + tf.stack([1 + i, 0])
                after, result = self.step(before, batch, noise[i - start], own_seed, controls[i], fixed)
                return i + 1, total + result.nll, after.optimizer, after.moving

            end = tf.minimum(start + self._block, self.plan.steps)
            return tf.while_loop(lambda i, nll, *_: (i < end) & tf.math.is_finite(nll), one, (start, total, *moved))

        zero = tf.zeros([], self.members.loss.dtype)
        _, total, optimizer, moving = tf.while_loop(
            lambda i, nll, *_: (i < self.plan.steps) & tf.math.is_finite(nll),
            block,
            (0, zero, state.optimizer, state.moving),
        )
        return total / self.plan.steps, state._replace(optimizer=optimizer, moving=moving)

    def _window(self, array: tf.Tensor, i: Any) -> tf.Tensor:
        begin = tf.concat([[i * self.plan.width], tf.zeros([array.shape.rank - 1], tf.int32)], 0)
        return tf.slice(array, begin, [self.plan.width, *array.shape[1:]])

    def _epochs_a_call(self) -> int:
        """Number of epochs in about a quarter of a second: how often the bar moves, and how long Ctrl-C waits."""
        sizes = [int(np.prod(v.shape)) for v in self.members.loss.trainable]
        num_parameters = sum(sizes) * self.members.num_members
        microseconds_a_step = 20.0 + 0.002 * num_parameters  # of a CPU core; its order of magnitude is enough
        bytes_an_epoch = 4 * self.plan.capacity
        return max(1, min(int(250_000 / (microseconds_a_step * self.plan.steps)), MAX_INDEX_BYTES // bytes_an_epoch))


def _tensors(data: Data) -> Data:
    return tf.nest.map_structure(lambda a: None if a is None else tf.constant(a), data)
