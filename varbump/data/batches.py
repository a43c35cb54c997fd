"""Which rows each step sees: shuffled without replacement, in batches whose sizes differ by at most one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from varbump.core.random import generator, stateless_seeds

__all__ = ["BatchPlan"]


@dataclass(frozen=True)
class BatchPlan:
    """N rows in ceil(N / batch_size) batches.

    A last batch of N mod batch_size rows would weigh each of its rows up to batch_size times as much as
    the others. Here every batch has floor or ceil of N / steps rows, so that every row counts alike.
    Batches of XLA have one shape: the smaller ones carry one row of weight 0.

    Parameters
    ----------
    num_data, batch_size : int
    largest : int, optional
        Number of rows of the largest of several tables, at most one more than `num_data`, whose number of batches and
        width all of them share.
    """

    num_data: int
    batch_size: int
    largest: int | None = None

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        return -(-(self.largest or self.num_data) // self.batch_size)

    @property
    def width(self) -> int:
        """Rows of the larger batches."""
        return -(-(self.largest or self.num_data) // self.steps)

    @property
    def capacity(self) -> int:
        """Rows of all batches with those of weight 0: what a program is compiled for, in place of N."""
        return self.steps * self.width

    @property
    def num_larger(self) -> int:
        """How many batches, the first ones, are of the larger size."""
        return self.num_data - self.steps * (self.width - 1)

    @property
    def row_weights(self) -> np.ndarray:
        """Weight of each row of each batch, (steps, width): 1 / size of the batch, or 0."""
        larger = np.arange(self.steps)[:, None] < self.num_larger
        counts = np.where((np.arange(self.width) < self.width - 1) | larger, 1.0, 0.0)
        if self.width == 1:  # a batch of its own must not be empty: it repeats row 0
            counts[:] = 1.0
        return counts / counts.sum(1, keepdims=True)

    def padded(self, array: np.ndarray) -> np.ndarray:
        """The rows of an array, and as many repetitions of the first as make up `capacity`."""
        return np.concatenate([array, np.repeat(array[:1], self.capacity - len(array), axis=0)])

    def shuffles(self, seed: int, epochs: range, num_epochs: int) -> np.ndarray:
        """Row of the data that each row of each batch is, for each epoch, (num_epochs, capacity) int32.

        Rows of weight 0 are row 0, and so are all those of epochs that are only there to fill `num_epochs`. Each
        epoch has a generator of its own, so that it does not matter how epochs are grouped into calls. Sorting random
        keys under XLA on a CPU would cost as much as several training steps.
        """
        rows = np.zeros((num_epochs, self.steps, self.width), np.int32)
        full = self.num_larger * self.width
        for row, epoch in zip(rows, epochs, strict=False):
            order = generator(seed, epoch).permutation(self.num_data)
            row[: self.num_larger] = order[:full].reshape(-1, self.width)
            smaller = order[full:].reshape(self.steps - self.num_larger, self.width - 1)
            row[self.num_larger :, : self.width - 1] = smaller
        return rows.reshape(num_epochs, -1)

    def seeds(self, seed: int, epochs: range, num_epochs: int) -> np.ndarray:
        """A stateless seed for each epoch, (num_epochs, 2) int32."""
        states = np.zeros((num_epochs, 2), np.int32)
        for row, epoch in zip(states, epochs, strict=False):
            row[:] = stateless_seeds(seed, epoch)[0]
        return states
