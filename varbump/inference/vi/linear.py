"""Models that are linear in their weights: the response of f to each weight, and what follows from it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from scipy.linalg import cho_solve
from tensorflow_probability import distributions as tfd

from varbump.forward.apply import apply

__all__ = ["LinearModel", "is_small", "linear_model", "normal_prior"]

TOLERANCE = 1e-4
"""Relative error up to which f counts as linear: well above float32 rounding in sums over hundreds of inputs."""

MAX_WEIGHTS, MAX_CELLS = 500, 50_000_000
"""Bounds on the number of weights, and on the size of J."""


class LinearModel(NamedTuple):
    """What observations of f = offset + J w say of w and of the noise: means over rows, in double precision.

    Attributes
    ----------
    gram : ndarray (Q, P, P)
        Of J_n J_n^T, for each target.
    moment : ndarray (Q, P)
        Of J_n r_n, with r = y - offset.
    square : ndarray (Q,)
        Of r_n^2.
    num_data : float
        Number of rows, or the sum of their weights.
    """

    gram: np.ndarray
    moment: np.ndarray
    square: np.ndarray
    num_data: float

    @classmethod
    def of_rows(cls, jacobian: np.ndarray, residuals: np.ndarray, weights: np.ndarray) -> LinearModel:
        """Of J (Q, N, P), y - offset (N, Q) and weights of the rows (N,)."""
        shares = weights / weights.sum()
        return cls(
            np.stack([(J * shares[:, None]).T @ J for J in jacobian]),
            np.stack([J.T @ (shares * r) for J, r in zip(jacobian, residuals.T, strict=True)]),
            shares @ residuals**2,
            float(weights.sum()),
        )

    def merged(self, other: LinearModel) -> LinearModel:
        """Of the rows of both."""
        total = self.num_data + other.num_data
        share = other.num_data / total
        gram, moment, square = (
            (1.0 - share) * mine + share * theirs for mine, theirs in zip(self[:3], other[:3], strict=True)
        )
        return LinearModel(gram, moment, square, total)

    def posterior(
        self, scale: np.ndarray, p_loc: np.ndarray, p_precision: np.ndarray, temperature: float = 1.0
    ) -> tuple[np.ndarray, np.ndarray]:
        r"""Mean (P,) and precision (P, P) of the posterior, for a normal prior.

        .. math:: \Lambda = J^T J / \sigma^2 + \Lambda_0, \quad
                  \Lambda m = J^T (y - f_0) / \sigma^2 + \Lambda_0 m_0

        (Bishop 2006, "Pattern Recognition and Machine Learning", eq. 3.50).

        Parameters
        ----------
        scale : ndarray (Q,)
            Standard deviation of the noise.
        p_loc, p_precision : ndarray (P,), (P, P)
            As from `normal_prior`.
        temperature : float, default=1.0
            Of a tempered posterior.
        """
        factor = self.num_data / temperature / scale**2
        precision = np.tensordot(factor, self.gram, 1) + p_precision
        return np.linalg.solve(precision, factor @ self.moment + p_precision @ p_loc), precision

    def squared_errors(self, loc: np.ndarray, covariance: np.ndarray) -> np.ndarray:
        """Weighted mean of E[(y - f)^2] for each target (Q,), for weights with this mean and covariance."""
        of_mean = self.square - 2.0 * self.moment @ loc + self.gram @ loc @ loc
        return np.maximum(of_mean, 0.0) + np.tensordot(self.gram, covariance, 2)  # rounding, if all is explained


def normal_prior(prior: Any) -> tuple[np.ndarray, np.ndarray] | None:
    """Mean (P,) and precision (P, P) of a prior with independent normals or a Cholesky factor; None for any other."""
    if isinstance(prior, tfd.MultivariateNormalDiag):
        return np.asarray(prior.mean(), np.float64), np.diag(1.0 / np.asarray(prior.variance(), np.float64))
    if isinstance(prior, tfd.MultivariateNormalTriL):
        factor = np.asarray(prior.scale.to_dense(), np.float64)
        return np.asarray(prior.mean(), np.float64), cho_solve((factor, True), np.eye(len(factor)))
    return None


def is_small(size: int, num_data: int, num_targets: int) -> bool:
    """Whether a closed form is within reach for `size` weights."""
    return size <= MAX_WEIGHTS and (size + 1) * num_data * num_targets <= MAX_CELLS


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
        Weights of the rows.
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
    weights = np.ones(len(x)) if row_weights is None else row_weights.astype(np.float64)
    return LinearModel.of_rows(np.moveaxis(jacobian, 1, 0), y.astype(np.float64) - offset, weights)


def _close(values: Any, expected: np.ndarray) -> bool:
    return bool(np.abs(values - expected).max() <= TOLERANCE * np.abs(expected).max())
