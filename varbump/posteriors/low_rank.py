"""Normal posterior whose covariance is a diagonal plus a few directions."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from varbump.core.checks import check_count
from varbump.core.registry import register_builtin
from varbump.posteriors.base import Noise
from varbump.posteriors.factory import PosteriorFactory
from varbump.posteriors.mean_field import row_noise
from varbump.posteriors.normal import DrawsOnConversion, NormalPosterior

__all__ = ["LowRankNormal"]


MAX_UNROLLED = 10


class _NormalLowRank(DrawsOnConversion, tfd.MultivariateNormalDiagPlusLowRankCovariance):
    family: _LowRank  # the posterior that it is the distribution of


class _LowRank(NormalPosterior):
    r"""Draws :math:`w = m + s \odot (\epsilon + V \eta / \sqrt r)` with noise epsilon (n,) and eta (r,).

    The directions V (n, r) start small and random, since the ELBO has a saddle point where they are zero.
    """

    def __init__(self, loc: np.ndarray, scale: float, dtype: tf.DType, rank: int, seed: Any, **kwargs: Any) -> None:
        self.rank = min(rank, len(loc))
        self._unit = 1.0 / float(np.sqrt(self.rank))
        start = np.random.default_rng(seed).normal(scale=0.1, size=(len(loc), self.rank))
        super().__init__(loc, scale / np.sqrt(1.0 + self._unit**2 * np.sum(start**2, 1)), dtype, **kwargs)
        self.num_noise = self.num_weights + self.rank
        self._directions = self.add_variable("directions", start)

    @property
    def num_covariances(self) -> int:
        return self.num_weights * self.rank

    def distribution(self) -> _NormalLowRank:
        q = _NormalLowRank(
            loc=tf.convert_to_tensor(self.mean),
            cov_diag_factor=tf.square(self.diag),
            cov_perturb_factor=self.diag[:, None] * self._unit * self._directions,
        )
        q.family = self
        return q

    def transform(self, noise: tf.Tensor) -> tf.Tensor:
        n = self.num_weights
        along = self._unit * tf.linalg.matvec(self._directions, noise[n:])
        return self.mean + self.diag * (noise[:n] + along)

    def affine(self, inputs: tf.Tensor, num_units: int, noise: Noise) -> tf.Tensor:
        outputs = row_noise(inputs, self.mean, tf.square(self.diag), num_units, noise)
        rows = inputs.shape[0] if inputs.shape[0] is not None else tf.shape(inputs)[0]
        eta = tf.reshape(noise(rows * self.rank, outputs.dtype), [rows, 1, self.rank])
        directions = self.diag[:, None] * self._unit * self._directions
        kernel_size = inputs.shape[-1] * num_units
        kernel = tf.reshape(directions[:kernel_size], [-1, num_units * self.rank])
        moved = tf.reshape(tf.matmul(inputs, kernel), [rows, num_units, self.rank])
        if self.num_weights > kernel_size:
            moved += directions[kernel_size:]
        return outputs + tf.reduce_sum(moved * eta, -1)

    def log_prob(self, noise: tf.Tensor) -> tf.Tensor:
        """Log density, not from the noise, which has more entries than there are weights."""
        return self(None).log_prob(self.transform(noise))

    def square_root(self) -> tf.Tensor:
        return tf.concat([tf.linalg.diag(self.diag), self.diag[:, None] * self._unit * self._directions], 1)

    def variances(self) -> tf.Tensor:
        along = self._unit**2 * tf.reduce_sum(tf.square(self._directions), 1)
        return tf.square(self.diag) * (1.0 + along)

    def log_det(self) -> tf.Tensor:
        r"""Log determinant by the determinant lemma, :math:`\sum_i \log s_i + \tfrac12 \log\det(I_r + V^T V / r)`."""
        directions = self._unit * self._directions
        small = tf.eye(self.rank, dtype=directions.dtype) + tf.matmul(directions, directions, transpose_a=True)
        return super().log_det() + 0.5 * _log_det(small)


def _log_det(matrix: tf.Tensor) -> tf.Tensor:
    """Compute the log determinant of a positive definite matrix from its pivots.

    Small ones are unrolled: on a CPU, XLA's Cholesky factor of a 4 x 4 matrix and its gradient take as long as ten
    training steps.
    """
    size = matrix.shape[0]
    if size > MAX_UNROLLED:
        return 2.0 * tf.reduce_sum(tf.math.log(tf.linalg.diag_part(tf.linalg.cholesky(matrix))))
    total = tf.zeros([], matrix.dtype)
    for _ in range(size):
        pivot, column, rest = matrix[0, 0], matrix[1:, 0], matrix[1:, 1:]
        total += tf.math.log(pivot)
        matrix = rest - column[:, None] * column[None, :] / pivot
    return total


@tfd.RegisterKL(_NormalLowRank, tfd.MultivariateNormalLinearOperator)
def _kl(q: _NormalLowRank, p: tfd.MultivariateNormalLinearOperator, name: str | None = None) -> tf.Tensor | None:
    """KL that TFP lacks, for its own layers."""
    del name
    return q.family.kl(p)


@register_builtin("LowRankNormal")
class LowRankNormal(PosteriorFactory):
    r"""Normal with covariance :math:`S (I + V V^T / r) S`, S diagonal and V (n, r): n (2 + r) parameters.

    Parameters
    ----------
    rank : int, default=4
        r, the number of columns of V; limited to the number of weights of the layer.

    Other parameters are those of `PosteriorFactory`.

    References
    ----------
    Ong, Nott and Smith (2018), "Gaussian Variational Approximation with a Factor Covariance Structure".
    """

    short_name, best_estimator = "low_rank", "local"

    def __init__(self, *, rank: int = 4, scale: float = 0.05, loc_scale: float = 1.0) -> None:
        super().__init__(scale=scale, loc_scale=loc_scale)
        self.rank = check_count(rank, "rank")

    def make(self, loc: np.ndarray, dtype: tf.DType) -> _LowRank:
        """Make the posterior of one layer."""
        seed = np.abs(loc).view(np.uint64)[:1].tolist()  # a function of the seed of the means
        return _LowRank(loc, self.scale, dtype, self.rank, seed)

    def variable_shapes(self, num_weights: int) -> list[tuple[int, ...]]:
        """Shapes of means, scales and directions."""
        return [(num_weights,), (num_weights,), (num_weights, min(self.rank, num_weights))]
