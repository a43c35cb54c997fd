"""The coordinates that the sampler moves in: those in which the variational fit is a standard normal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

__all__ = ["Coordinates"]


class Coordinates:
    r"""The map :math:`w_l = \mathrm{loc}_l + L_l u_l` from all u (n,) to the weights of each layer.

    loc and L are mean and Cholesky factor of the covariance of q, layer by layer, as they are now.

    Parameters
    ----------
    layers : sequence of layer
        With `posterior`.
    dtype : DType
    """

    def __init__(self, layers: Sequence[Any], dtype: tf.DType) -> None:
        self.dtype = dtype
        moments = [_moments(layer.posterior(None)) for layer in layers]
        self.locs = [loc.astype(dtype.as_numpy_dtype) for loc, _ in moments]
        self.factors = [factor.astype(dtype.as_numpy_dtype) for _, factor in moments]  # (n, n), or (n,) of a diagonal
        self.sizes = [len(loc) for loc in self.locs]
        self.num_weights = sum(self.sizes)

    def weights(self, u: tf.Tensor, factors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Weights (n,) of each layer; `factors` are those of this object, as the arguments of a compiled program."""
        parts = zip(self.locs, factors, tf.split(u, self.sizes), strict=True)
        return [loc + (tf.linalg.matvec(L, part) if L.shape.rank == 2 else L * part) for loc, L, part in parts]

    def stored(self, u: np.ndarray) -> tuple[np.ndarray, ...]:
        """The same for u (..., n), in NumPy."""
        parts = zip(self.locs, self.factors, np.split(u, np.cumsum(self.sizes)[:-1], axis=-1), strict=True)
        return tuple(loc + (part @ L.T if L.ndim == 2 else L * part) for loc, L, part in parts)


def _moments(q: Any) -> tuple[np.ndarray, np.ndarray]:
    """Mean and Cholesky factor, the latter as its diagonal where that is all; in double precision."""
    try:
        loc = np.asarray(q.mean(), np.float64).ravel()
        covariance = np.asarray(q.covariance(), np.float64)
    except NotImplementedError:  # a distribution without these in closed form: 1,000 draws know the sd to 2 %
        draws = np.asarray(q.sample(1000, seed=(0, 0)), np.float64).reshape(1000, -1)
        return draws.mean(0), draws.std(0)
    if covariance.shape != (len(loc), len(loc)):  # a batch of scalars
        return loc, np.asarray(q.stddev(), np.float64).ravel()
    sd = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(sd, sd)
    if np.count_nonzero(correlation - np.diag(np.diag(correlation))) == 0:
        return loc, sd
    jitter = 1e-6 * np.eye(len(loc))  # covariances in single precision can miss being positive by that much
    return loc, sd[:, None] * np.linalg.cholesky(correlation + jitter)
