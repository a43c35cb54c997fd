"""An approximate likelihood that is cheap in large data: rows with similar x share one value of f."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from varbump.model.log_posterior import LogPosterior

__all__ = ["GroupedLikelihood", "LogLikelihood", "groups_of"]

LogLikelihood = Callable[[Sequence[tf.Tensor]], tf.Tensor]
"""From the parts of what is sampled, such as the weights of each layer, to a scalar, in nats."""


class GroupedLikelihood:
    r"""Log likelihood in which f is evaluated at the middle of each of M groups of k rows with similar x.

    .. math:: \frac{N}{M k} \sum_m \sum_{n \in G_m} \log p(y_n | f(\bar x_m; w))

    The network, which is nearly all of the work, sees M rows instead of N. The chains take only the direction of their
    steps from it; whether they accept them is decided by all rows, so the draws are of the exact posterior.

    Parameters
    ----------
    target : LogPosterior
    group_size : int
        k; with 1 it is the exact likelihood.

    Attributes
    ----------
    num_rows : int
        M, the rows at which the network is evaluated.

    References
    ----------
    Neal (2011), "MCMC using Hamiltonian dynamics", section 5.5: trajectories of an approximate energy.
    """

    def __init__(self, target: LogPosterior, group_size: int) -> None:
        self._target, self.group_size = target, group_size
        x, y = target.x.numpy(), target.y.numpy()
        groups = groups_of(x, group_size)
        self.num_rows = len(groups)
        self._factor = len(x) / groups.size
        self._x = tf.constant(x[groups].mean(1), target.dtype)
        self._y = tf.constant(y[groups].reshape(-1, *y.shape[1:]), target.dtype)

    def __call__(self, parts: Sequence[tf.Tensor]) -> tf.Tensor:
        """Return the approximation, a scalar in nats, at the parts of what is sampled."""
        f = self._target.f(parts, self._x)
        shape = [self.num_rows, self.group_size, *f.shape[1:]]
        f = tf.reshape(tf.broadcast_to(f[:, None], shape), [-1, *f.shape[1:]])
        return -self._factor * tf.reduce_sum(self._target.nll(parts, self._y, f))


def groups_of(x: np.ndarray, size: int) -> np.ndarray:
    """Divide the rows of x into groups of equal size that are close together: indices (M, size).

    The widest column is cut near its median, again and again, as in a k-d tree. Up to size - 1 rows are left out,
    evenly spread, since N may not be a multiple of the size.
    """
    flat = x.reshape(len(x), -1).astype(np.float64)
    num_groups = len(x) // size
    used = np.linspace(0, len(x) - 1, num_groups * size).astype(int)

    def divided(rows: np.ndarray) -> list[Any]:
        if len(rows) == size:
            return [rows]
        column = np.ptp(flat[rows], axis=0).argmax()
        rows = rows[np.argsort(flat[rows, column], kind="stable")]
        cut = len(rows) // size // 2 * size
        return [*divided(rows[:cut]), *divided(rows[cut:])]

    return np.stack(divided(used))
