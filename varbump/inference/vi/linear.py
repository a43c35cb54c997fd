"""Models that are linear in their weights: the response of f to each weight, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from varbump.forward.apply import apply

__all__ = ["LinearModel", "linear_model"]

TOLERANCE = 1e-4
"""Relative error up to which f counts as linear: well above float32 rounding in sums over hundreds of inputs."""


@dataclass(frozen=True, eq=False)
class LinearModel:
    """f = offset + J w on some rows, with their observations; all in double precision."""

    offset: np.ndarray  # (N, Q)
    jacobian: np.ndarray  # (Q, N, P)
    y: np.ndarray  # (N, Q)
    shares: np.ndarray  # (N,), weights of the rows, which sum to 1

    @cached_property
    def gram(self) -> np.ndarray:
        """Weighted mean of J_n J_n^T for each target, (Q, P, P)."""
        return np.stack([(J * self.shares[:, None]).T @ J for J in self.jacobian])

    @cached_property
    def moment(self) -> np.ndarray:
        """Weighted mean of J_n (y_n - offset_n) for each target, (Q, P)."""
        residuals = self.shares[:, None] * (self.y - self.offset)
        return np.stack([J.T @ r for J, r in zip(self.jacobian, residuals.T, strict=True)])

    def squared_errors(self, loc: np.ndarray, covariance: np.ndarray) -> np.ndarray:
        """Weighted mean of E[(y - f)^2] for each target (Q,), for weights with this mean and covariance."""
        residuals = self.y - self.offset - (self.jacobian @ loc).T
        return self.shares @ residuals**2 + np.tensordot(self.gram, covariance, 2)


def linear_model(
    loss: Any, size: int, x: np.ndarray, y: np.ndarray, row_weights: np.ndarray | None = None
) -> LinearModel | None:
    """Measure the response of f to each of `size` weights; None if it is not linear or if layers add penalties.

    Parameters
    ----------
    loss : NetworkLoss or LogPosterior
        Only its `network` and `dtype` are used.
    size : int
        P, the number of weights of the only variational layer.
    x, y : ndarray (N, D), (N, Q)
    row_weights : ndarray (N,), optional
        Relative weights of the rows.
    """
    rows, penalised = tf.constant(x), False

    def f(w: np.ndarray) -> np.ndarray:
        nonlocal penalised
        applied = apply(loss.network, rows, draws=[tf.constant(w, loss.dtype)])
        penalised = penalised or bool(applied.penalty.numpy())
        return applied.f.numpy().astype(np.float64)

    some, offset = np.random.default_rng(0).standard_normal(size), f(np.zeros(size))
    slope = f(some) - offset
    for factor in (-1.0, 100.0):  # the first shows even terms, the second saturation
        if not _close(f(factor * some) - offset, factor * slope):
            return None
    jacobian = np.stack([f(unit) - offset for unit in np.eye(size)], -1)  # (N, Q, P)
    if penalised or not _close(jacobian @ some, slope):
        return None
    shares = np.ones(len(x)) if row_weights is None else row_weights.astype(np.float64)
    return LinearModel(offset, np.moveaxis(jacobian, 1, 0), y.astype(np.float64), shares / shares.sum())


def _close(values: Any, expected: np.ndarray) -> bool:
    return bool(np.abs(values - expected).max() <= TOLERANCE * np.abs(expected).max())
