"""Course of a training run: step sizes and KL weights of all steps, and when it ends."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from varbump.inference.vi.convergence import BLOCKS, Settling, settling
from varbump.inference.vi.schedules import kl_weights, learning_rates

__all__ = ["BUDGET", "Course", "FixedCourse", "OpenCourse"]

NUM_STEPS = 2_000
"""Smallest number of steps at full KL weight before the first check."""

GROWTH = 2**0.5
"""Factor of the length from one check to the next."""

DECAY = 0.3
"""Share of an open run in which the learning rate falls to 0, which averages the noise of the steps out."""

BUDGET = 60_000
"""Steps at most of an open run, unless the ordinary length is larger."""


class Course:
    """Step sizes and KL weights of a run, epoch by epoch.

    Attributes
    ----------
    warming : int
        Number of epochs in which the KL does not have its full weight yet.
    end : int
        Number of epochs after which the run ends, or is checked; see `judge`.
    expected : int
        Number of epochs in all, as far as is known.
    settling : Settling or None
        Result of the last check, of runs that are checked.
    """

    warming: int
    end: int
    expected: int
    settling: Settling | None = None

    def judge(self, columns: Mapping[str, Sequence[float]]) -> None:
        """Take note of the columns of the history so far, which may move `end`."""

    def block(self, epochs: range) -> np.ndarray:
        """Learning rate and KL weight of each step of some epochs, (len(epochs), steps, 2)."""
        raise NotImplementedError


class FixedCourse(Course):
    """Run of a given length.

    Parameters
    ----------
    epochs, steps : int
        Number of epochs, and of steps in each.
    options : Options
        Its `schedule`, `kl_warmup` and `temperature`.
    rate : float or tf_keras LearningRateSchedule
    """

    def __init__(self, epochs: int, steps: int, options: Any, rate: Any) -> None:
        rates = learning_rates(rate, options.schedule, epochs * steps)
        kl = kl_weights(options.kl_warmup, epochs * steps, options.temperature)
        self._controls = np.stack([rates, kl], -1).reshape(epochs, steps, 2)
        self.warming = int(np.sum(self._controls[:, -1, 1] < options.temperature))
        self.end = self.expected = epochs

    def block(self, epochs: range) -> np.ndarray:
        """Learning rate and KL weight of each step of some epochs, (len(epochs), steps, 2)."""
        return self._controls[epochs.start : epochs.stop]


class OpenCourse(Course):
    """Run until it has settled: at a constant learning rate, which then falls to 0.

    It is checked at lengths that grow by a constant factor. What it decides is a function of the history alone, so a
    run that is resumed decides the same.

    Parameters
    ----------
    ordinary, steps : int
        Number of epochs of an ordinary run, and of steps in each epoch.
    options : Options
    rate : float
    num_weights : int
        Number of weights in a draw.
    """

    def __init__(self, ordinary: int, steps: int, options: Any, rate: float, num_weights: int) -> None:
        self._steps, self._rate, self._num_weights = steps, rate, num_weights
        warmup = kl_weights(options.kl_warmup, ordinary * steps, options.temperature)
        self.warming = int(np.sum(warmup[steps - 1 :: steps] < options.temperature))
        self._warmup = warmup
        first = max(4 * BLOCKS, -(-NUM_STEPS // steps))
        budget = max(ordinary, BUDGET // steps, int((self.warming + first) / (1 - DECAY)) + 1)
        last = int((1 - DECAY) * budget)
        growing = (self.warming + int(first * GROWTH**k) for k in itertools.count())
        self._checks = [*itertools.takewhile(lambda epochs: epochs < last, growing), last]
        self._judged = 0
        self._falls_from: int | None = None
        self.end, self.expected = self._checks[0], _with_decay(self._checks[0])

    def judge(self, columns: Mapping[str, Sequence[float]]) -> None:
        """Check the run at all lengths that it has reached since the last time."""
        loss, kl = columns.get("loss", ()), columns.get("kl", ())
        while self._falls_from is None and len(loss) >= self._checks[self._judged]:
            check = self._checks[self._judged]
            self.settling = settling(loss[self.warming : check], kl[self.warming : check], self._num_weights)
            self._judged += 1
            if self.settling.has_settled or self._judged == len(self._checks):
                self._falls_from = check
                self.end = self.expected = _with_decay(check)
            else:
                self.end = self._checks[self._judged]
                self.expected = _with_decay(self.end)

    def block(self, epochs: range) -> np.ndarray:
        """Learning rate and KL weight of each step of some epochs, (len(epochs), steps, 2)."""
        step = np.arange(epochs.start * self._steps, epochs.stop * self._steps)
        rates = np.full(len(step), float(self._rate))
        if self._falls_from is not None:
            begin, end = self._falls_from * self._steps, self.expected * self._steps
            rates *= 0.5 * (1.0 + np.cos(np.pi * np.clip((step - begin) / (end - begin), 0.0, 1.0)))
        kl = self._warmup[np.minimum(step, len(self._warmup) - 1)]
        return np.stack([rates, kl], -1).reshape(len(epochs), self._steps, 2)


def _with_decay(epochs: int) -> int:
    """Length of a run whose learning rate begins to fall after this number of epochs."""
    return -(-epochs * 10 // round(10 * (1 - DECAY)))
