"""Which rows each step sees: shuffled without replacement, in batches whose sizes differ by at most one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

__all__ = ["BatchPlan"]


@dataclass(frozen=True)
class BatchPlan:
    """N rows in ceil(N / batch_size) batches.

    A last batch of N mod batch_size rows would weigh each of its rows up to batch_size times as much as
    the others. Here every batch has floor or ceil of N / steps rows, so that every row counts alike.
    Batches of XLA have one shape: the smaller ones carry one row of weight 0.
    """

    num_data: int
    batch_size: int

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        return -(-self.num_data // self.batch_size)

    @property
    def width(self) -> int:
        """Rows of the larger batches."""
        return -(-self.num_data // self.steps)

    @property
    def num_larger(self) -> int:
        """How many batches, the first ones, are of the larger size."""
        return self.num_data - self.steps * (self.width - 1)

    def slice(self, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
        """First row of a batch among the shuffled rows, and the weights of its rows divided by its size.

        The weights (width,) are None where all batches are equally large.
        """
        if self.num_larger == self.steps:
            return step * self.width, None
        start = step * (self.width - 1) + tf.minimum(step, self.num_larger)
        larger = tf.range(self.width) < self.width - tf.cast(step >= self.num_larger, tf.int32)
        weights = tf.cast(larger, tf.float32)
        return start, weights / tf.reduce_sum(weights)

    def shuffles(self, seed: int, epochs: range) -> np.ndarray:
        """Row indices of each epoch, (E, N + 1); the last one only fills the last batch's row of weight 0.

        Each epoch has a generator of its own, so that it does not matter how epochs are grouped into calls.
        Sorting random keys under XLA on a CPU would cost as much as several training steps.
        """
        rows = np.zeros((len(epochs), self.num_data + 1), np.int32)
        for row, epoch in zip(rows, epochs, strict=True):
            row[:-1] = np.random.default_rng((seed, epoch)).permutation(self.num_data)
        return rows

    def seeds(self, seed: int, epochs: range) -> np.ndarray:
        """A stateless seed for each epoch, (E, 2) int32."""
        states = [np.random.SeedSequence((seed, epoch)).generate_state(2) for epoch in epochs]
        return np.array(states, np.uint32).reshape(len(epochs), 2).view(np.int32)
