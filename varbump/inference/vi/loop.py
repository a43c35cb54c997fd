"""Whole epochs in one XLA program, nothing read back in between.

The step knows no loop and the loop knows no loss: `Members` turns a batch and noise into gradients, an optimiser turns
them into a state, and `Loop` runs steps over shuffled batches and epochs over steps. The program is a function of the
state, the data, the seeds and the controls, and serves every run of the same structure.
"""

from __future__ import annotations

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
"""Bound on the shuffled rows of one call."""


class Data(NamedTuple):
    """What is trained on, and what is watched.

    Attributes
    ----------
    x, y : ndarray (capacity, D), (capacity, Q)
    sample_weight : ndarray (capacity,) or None
        Of mean 1 over the data.
    row_weights : ndarray (steps, width)
        As of `BatchPlan`.
    validation : Batch or None
    """

    x: Any
    y: Any
    sample_weight: Any
    row_weights: Any
    validation: Batch | None


class Epochs(NamedTuple):
    """Result of a stretch of epochs; the first `num_finished` entries of the arrays count."""

    num_finished: int
    failed: bool  # the epoch after these met a loss or a weight that was not finite
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
        With the rows that `plan` pads it to.
    plan : BatchPlan
    num_data : float
        N of the ELBO: rows, or the sum of their weights.
    patience : int or None
        Stop after this many epochs without improvement.

    Attributes
    ----------
    fixed : list of Tensor
        Values of the variables that nothing changes.
    epochs_a_call : int
        What the program is compiled for: about a quarter of a second.
    """

    def __init__(
        self,
        members: Members,
        optimizer: Adam | KerasOptimizer,
        data: Data,
        plan: BatchPlan,
        num_data: float,
        patience: int | None,
    ) -> None:
        loss = members.loss
        self.members, self.optimizer, self.plan = members, optimizer, plan
        self.num_data, self.patience = num_data, patience
        self.fixed = [tf.convert_to_tensor(v) for v in loss.fixed]
        self.data = tf.nest.map_structure(lambda a: None if a is None else tf.constant(a), data)
        self._noise_size = loss.count_noise([plan.width, *data.x.shape[1:]])
        bytes_a_step = max(self._noise_size, 1) * loss.dtype.size
        self._block = max(1, min(plan.steps, MAX_NOISE_BYTES // bytes_a_step))
        self.epochs_a_call = self._epochs_a_call()
        structure = loss.structure, members.num_members, optimizer.structure, plan.steps, self._block, bool(patience)
        self._program = program("train", structure, lambda: self._run, loss.network)

    @property
    def validates(self) -> bool:
        """Whether a loss on other data is recorded."""
        return self.data.validation is not None

    def start(self, values: Sequence[np.ndarray]) -> TrainState:
        """The state before the first epoch, of values (K, ...) of the trainable variables."""
        count = self.members.num_members
        moving = [tf.repeat(tf.convert_to_tensor(v)[None], count, 0) for v in self.members.loss.moving]
        best = [*(tf.convert_to_tensor(v) for v in values), *moving] if self.patience else []
        stale = tf.constant(0)
        return TrainState(self.optimizer.start(values), moving, best, tf.constant(np.inf, tf.float32), stale)

    def run(
        self, state: TrainState, seed: int, epochs: range, controls: np.ndarray, warming: int
    ) -> tuple[TrainState, Epochs]:
        """Run epochs, at most `epochs_a_call`.

        Parameters
        ----------
        state : TrainState
        seed : int
            Of the run.
        epochs : range
            Their numbers.
        controls : ndarray (len(epochs), steps, 2)
            Step size and KL weight of each step.
        warming : int
            How many of them have the KL still warming up and cannot be the best yet.
        """
        size = self.epochs_a_call
        shuffles = self.plan.shuffles(seed, epochs, size)
        seeds = self.plan.seeds(seed, epochs, size)
        controls = np.pad(self.shares(controls), [(0, size - len(controls)), (0, 0), (0, 0)])
        counts = np.array([len(epochs), warming, self.patience or 0], np.int32)
        num_data = np.float64(self.num_data)
        after = self._program(self.data, shuffles, seeds, controls, counts, num_data, self.fixed, tuple(state))
        done, failed, history, *state_after = after
        nll, kl, val_nll = history.numpy().T
        return TrainState(*state_after), Epochs(int(done), bool(failed), nll, kl, val_nll)

    def shares(self, controls: np.ndarray) -> np.ndarray:
        """Controls with KL weights divided by N, in the precision of the network."""
        return (controls / [1.0, self.num_data]).astype(self.members.loss.dtype.as_numpy_dtype)

    def _run(
        self, data: Data, shuffles: Any, seeds: Any, controls: Any, counts: Any, num_data: Any, fixed: Any, state: Any
    ) -> tuple[Any, ...]:
        num_epochs, warming, patience = tf.unstack(counts)

        def epoch(e: Any, _: Any, history: Any, *parts: Any) -> tuple[Any, ...]:
            state = TrainState(*parts)
            rows = self.rows(data, shuffles[e])
            nll, stepped = self._epoch(data, rows, seeds[e], controls[e], fixed, state)
            kl, val_nll = self._evaluate(data, rows, seeds[e], fixed, stepped)
            values = self.optimizer.values(stepped.optimizer)
            finite = [tf.math.is_finite(nll + kl), *(tf.reduce_all(tf.math.is_finite(v)) for v in values)]
            ok = tf.reduce_all(tf.stack(finite))
            state = tf.nest.map_structure(lambda new, old: tf.where(ok, new, old), stepped, state)  # the last finite
            row = tf.cast(tf.stack([nll, kl, val_nll]), tf.float32)
            history = tf.tensor_scatter_nd_update(history, [[e]], [row])
            if self.patience:
                watched = val_nll if self.validates else nll
                loss = tf.cast(negative_elbo(watched, kl, tf.cast(num_data, kl.dtype)), tf.float32)
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
        """The training data in the order of one epoch."""
        return Batch(*(None if a is None else tf.gather(a, order) for a in (data.x, data.y, data.sample_weight)))

    def batch(self, i: Any, rows: Batch, row_weights: Any) -> Batch:
        """Batch number `i` of the shuffled rows."""
        windows: list[Any] = [None if a is None else self._window(a, i) for a in rows]
        x, y, sample_weight = windows
        weights = row_weights[i]
        if sample_weight is not None:
            weights *= sample_weight
        return Batch(x, y, weights)

    def block_noise(self, seed: Any, start: Any) -> tf.Tensor:
        """Noise of the steps from `start` on, one row a step."""
        return standard_normal([self._block, self._noise_size], seed + tf.stack([0, start]), self.members.loss.dtype)

    def step_noise(self, seed: Any, i: Any) -> tf.Tensor:
        """Noise of step number `i` of an epoch, the row of its block."""
        return self.block_noise(seed, i - i % self._block)[i % self._block]

    def step(
        self, state: TrainState, batch: Batch, noise: Any, seed: Any, controls: Any, fixed: Any
    ) -> tuple[TrainState, Gradient]:
        """The state after one step, and the gradients and terms before it; `controls` are step size and KL share."""
        values = self.optimizer.values(state.optimizer)
        result = self.members.gradient(values, state.moving, fixed, batch, noise, seed, controls[1])
        stepped = self.optimizer.step(state.optimizer, result.gradients, controls[0])
        return state._replace(optimizer=stepped, moving=result.moving), result

    def _epoch(
        self, data: Data, rows: Batch, seed: Any, controls: Any, fixed: Any, state: TrainState
    ) -> tuple[tf.Tensor, TrainState]:
        """Steps over the shuffled rows, up to the first loss that is not finite; the mean nll over them.

        The KL is not summed here: its gradient is cheap, its value would cost as much as the rest of a step.
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

    def _evaluate(
        self, data: Data, rows: Batch, seed: Any, fixed: Any, state: TrainState
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """KL of the weights as they are, and mean nll of the validation data under one draw of them."""
        batch = data.validation or Batch(rows.x[:1], rows.y[:1], None)
        noise = standard_normal([self._noise_size], seed + tf.constant([0, -1]), self.members.loss.dtype)
        values = self.optimizer.values(state.optimizer)
        nll, kl = self.members.evaluate(values, state.moving, fixed, batch, noise, seed)
        return kl, nll

    def _epochs_a_call(self) -> int:
        """Epochs that take about a quarter of a second: how often the bar moves, and how long Ctrl-C waits."""
        sizes = [int(np.prod(v.shape)) for v in self.members.loss.trainable]
        num_parameters = sum(sizes) * self.members.num_members
        microseconds_a_step = 20.0 + 0.002 * num_parameters  # of a CPU core; its order of magnitude is enough
        bytes_an_epoch = 4 * self.plan.capacity
        return max(1, min(int(250_000 / (microseconds_a_step * self.plan.steps)), MAX_INDEX_BYTES // bytes_an_epoch))
