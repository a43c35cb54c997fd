"""Coordinates of the sampler, in which the variational fit has scale 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

__all__ = ["Coordinates"]

SD_OF_OTHERS = 0.3
"""Usual deviation of the log of a scale."""


class Coordinates:
    r"""The map :math:`w_l = \mathrm{loc}_l + F_l u_l` from all u (n,) to the weights of each layer.

    loc is the current mean of q. For a single layer, F is the Cholesky factor of its covariance, so that the posterior
    of a linear model becomes a standard normal. For more layers, F is the standard deviation of each weight, since the
    covariance describes only one of many modes: for the cubic and 16-16 ReLU units, the Cholesky factor took half as
    much time again and gave 30 to 50 % fewer effective draws per gradient.

    Parameters
    ----------
    layers : sequence of layer
        Layers with a `posterior`.
    dtype : DType
    others : sequence of int, default=()
        Sizes of further parts of what is sampled, which are 0 at q, with deviations of about `SD_OF_OTHERS`.

    Attributes
    ----------
    num_weights : int
        n, over all layers.
    factors : list of ndarray (n, n) or (n,)
        F of each layer; (n,) if it is diagonal.
    """

    def __init__(self, layers: Sequence[Any], dtype: tf.DType, others: Sequence[int] = ()) -> None:
        moments = [_moments(layer.posterior(None)) for layer in layers]
        moments += [(np.zeros(size), np.full(size, SD_OF_OTHERS)) for size in others]
        kind = dtype.as_numpy_dtype
        self._locs = [loc.astype(kind) for loc, _ in moments]
        self._cholesky = [cholesky.astype(kind) for _, cholesky in moments]
        self.factors = [L if len(layers) == 1 or L.ndim == 1 else _sd(L) for L in self._cholesky]
        self._sizes = [len(loc) for loc in self._locs]
        self.num_weights = sum(self._sizes)

    def draw(self, generator: np.random.Generator) -> np.ndarray:
        """Draw coordinates u (n,) of weights from the normal that has the mean and covariance of q."""
        noise = [generator.standard_normal(len(loc)).astype(loc.dtype) for loc in self._locs]
        parts = zip(self._cholesky, self.factors, noise, strict=True)
        return np.concatenate([part if L is F else _times(L, part) / F for L, F, part in parts])

    def weights(self, u: tf.Tensor, factors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Weights (n,) of each layer; `factors` are this object's, passed as arguments of a compiled program."""
        parts = zip(self._locs, factors, tf.split(u, self._sizes), strict=True)
        return [loc + (tf.linalg.matvec(F, part) if F.shape.rank == 2 else F * part) for loc, F, part in parts]

    def stored(self, u: np.ndarray) -> tuple[np.ndarray, ...]:
        """Weights of each layer for u (..., n), in NumPy."""
        parts = zip(self._locs, self.factors, np.split(u, np.cumsum(self._sizes)[:-1], axis=-1), strict=True)
        return tuple(loc + _times(F, part) for loc, F, part in parts)


def _times(factor: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    return vectors @ factor.T if factor.ndim == 2 else factor * vectors


def _sd(cholesky: np.ndarray) -> np.ndarray:
    return np.sqrt(np.square(cholesky).sum(1)) if cholesky.ndim == 2 else cholesky


def _moments(q: Any) -> tuple[np.ndarray, np.ndarray]:
    """Mean and Cholesky factor in double precision; of a diagonal factor, only the diagonal."""
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
    jitter = 1e-6 * np.eye(len(loc))  # covariances in single precision may fail to be positive definite by this much
    return loc, sd[:, None] * np.linalg.cholesky(correlation + jitter)
