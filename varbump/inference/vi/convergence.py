r"""When a run has settled: how much the last doubling of its length has improved the ELBO, and moved q.

At a constant learning rate, the loss of a run falls about in proportion to the logarithm of its length. What matters is
therefore the gain of a doubling. It is measured between the second quarter of the run so far, [t/4, t/2), and its
second half, [t/2, t), whose middles are a factor of 2 apart. Their means are compared, with a standard error from means
of blocks, since the losses of neighbouring epochs are correlated.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from varbump.inference.vi.history import History

__all__ = ["BLOCKS", "Settling", "settling", "warn_unless_converged"]

TOLERANCE = 0.01
"""Gain of a doubling that is too small to matter, in nats per observation."""

SCALE_TOLERANCE = 0.02
"""Change of the KL that is too small to matter, in nats per weight; that of narrow q changes with its log sd."""

CERTAINTY = 2.0
"""Standard errors by which the gain must be below the tolerance: one that equals it passes in 2 % of the checks."""

BLOCKS = 8
"""Number of blocks in each of the two parts."""


@dataclass(frozen=True)
class Settling:
    """Comparison of two parts of a run.

    Attributes
    ----------
    gain : float
        Decrease of the loss in the last doubling of the length, nats per observation.
    error : float
        Its standard error.
    kl_change : float
        Increase of the KL, nats.
    num_weights : int
        Number of weights in a draw.
    """

    gain: float
    error: float
    kl_change: float
    num_weights: int

    @property
    def has_settled(self) -> bool:
        """Whether another doubling would change neither the ELBO nor the scales of q by an amount that matters."""
        settled = self.gain + CERTAINTY * self.error < TOLERANCE
        return settled and abs(self.kl_change) < max(SCALE_TOLERANCE * self.num_weights, TOLERANCE)


def settling(loss: Sequence[float], kl: Sequence[float], num_weights: int) -> Settling:
    """Compare the second quarter with the second half of a run, or of the part of it at full KL weight.

    Parameters
    ----------
    loss : sequence of float
        Loss of each epoch, nats per observation; at least ``4 * BLOCKS`` of them.
    kl : sequence of float
        KL at the end of each epoch, nats.
    num_weights : int
    """
    (loss_early, loss_late), (kl_early, kl_late) = _halves(loss), _halves(kl)
    error = np.sqrt(_squared_error(loss_early) + _squared_error(loss_late))
    return Settling(
        float(loss_early.mean() - loss_late.mean()), float(error), float(kl_late.mean() - kl_early.mean()), num_weights
    )


def warn_unless_converged(history: History, last: Settling | None) -> None:
    """Warn if a run has used up its budget before it had settled, as its last check says."""
    if history.converged is False and history.stopped is None and last is not None:
        length = len(history.epoch)
        warnings.warn(
            f"the run ended at its budget of {length:,} epochs before it had settled: in the last doubling of its "
            f"length, -ELBO/N still fell by {last.gain:.2g} nats per observation (standard error {last.error:.1g}) and "
            f"the KL changed by {last.kl_change / max(last.num_weights, 1):.2g} nats per weight; pass "
            f"epochs={2 * length} to go on for longer, or a number of epochs that is enough for you",
            UserWarning,
            stacklevel=4,  # the caller of fit, which has a decorator
        )


def _halves(column: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """The second quarter, and the second half."""
    values = np.asarray(column, float)
    return values[len(values) // 4 : len(values) // 2], values[len(values) // 2 :]


def _squared_error(values: np.ndarray) -> float:
    """Squared standard error of the mean of correlated values around a straight line."""
    means = np.array([block.mean() for block in np.array_split(values, BLOCKS)])
    place = np.linspace(-1.0, 1.0, BLOCKS)
    around = means - means.mean() - place * (place @ means) / (place @ place)
    return float(around @ around / (BLOCKS - 2) / BLOCKS)
