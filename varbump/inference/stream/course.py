"""Course of a run on a source: step sizes and KL weights, block by block, since those of all steps may fill memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from varbump.inference.vi.course import Course
from varbump.inference.vi.schedules import kl_weights, learning_rates

__all__ = ["BlockCourse"]


class BlockCourse(Course):
    """Run of a given length, whose units are blocks.

    Parameters
    ----------
    epochs, num_blocks, steps : int
        Number of epochs, of blocks in each, and of steps in each block.
    options : Options
        Its `schedule`, `kl_warmup` and `temperature`. A callable schedule is called for each block.
    rate : float or tf_keras LearningRateSchedule

    Attributes
    ----------
    warming : int
        Number of epochs in which the KL does not have its full weight yet.
    end, expected : int
        Number of blocks.
    """

    def __init__(self, epochs: int, num_blocks: int, steps: int, options: Any, rate: Any) -> None:
        self._steps, self._options, self._rate = steps, options, rate
        self.end = self.expected = epochs * num_blocks
        self._num_steps = self.end * steps
        last = (np.arange(1, epochs + 1) * num_blocks * steps) - 1
        self.warming = int(np.sum(self._at(last)[:, 1] < options.temperature))

    def block(self, epochs: range) -> np.ndarray:
        """Learning rate and KL weight of each step of some blocks, (len(epochs), steps, 2)."""
        steps = np.arange(epochs.start * self._steps, epochs.stop * self._steps)
        return self._at(steps).reshape(len(epochs), self._steps, 2)

    def sample(self) -> np.ndarray:
        """Learning rate and KL weight of at most a thousand steps of the run, to tell it from others."""
        return self._at(np.unique(np.linspace(0, self._num_steps - 1, 1_000).astype(int)))

    def _at(self, steps: np.ndarray) -> np.ndarray:
        options = self._options
        rates = learning_rates(self._rate, options.schedule, self._num_steps, steps)
        return np.stack([rates, kl_weights(options.kl_warmup, self._num_steps, options.temperature, steps)], -1)
