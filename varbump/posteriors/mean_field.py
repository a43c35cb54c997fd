"""Independent normals: the cheapest family."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from varbump.core.registry import register_builtin
from varbump.posteriors.base import Noise
from varbump.posteriors.factory import PosteriorFactory
from varbump.posteriors.normal import DrawsOnConversion, NormalPosterior, softplus_inverse

__all__ = ["MeanFieldNormal", "row_noise"]

SMALLEST_VARIANCE = 1e-20
"""Added under the square root, so that its derivative is finite for a row of zeros."""


class _NormalDiag(DrawsOnConversion, tfd.MultivariateNormalDiag):
    pass


class _MeanField(NormalPosterior):
    independent = True

    def distribution(self) -> _NormalDiag:
        return _NormalDiag(loc=tf.convert_to_tensor(self.mean), scale_diag=self.diag)

    def transform(self, noise: tf.Tensor) -> tf.Tensor:
        return self.mean + self.diag * noise

    def assign(self, loc: Any, covariance: Any) -> None:
        self.loc.assign(loc)
        self._raw_scale.assign(softplus_inverse(np.sqrt(np.diag(covariance))))

    def variances(self) -> tf.Tensor:
        return tf.square(self.diag)

    def affine(self, inputs: tf.Tensor, num_units: int, noise: Noise) -> tf.Tensor:
        return row_noise(inputs, self.mean, self.variances(), num_units, noise)


def row_noise(inputs: tf.Tensor, loc: tf.Tensor, variances: tf.Tensor, num_units: int, noise: Noise) -> tf.Tensor:
    """Draw outputs (B, num_units) of independent normal weights, separately for each row."""
    kernel_size = inputs.shape[-1] * num_units
    moments = []
    for x, weights in [(inputs, loc), (tf.square(inputs), variances)]:
        outputs = tf.matmul(x, tf.reshape(weights[:kernel_size], [-1, num_units]))
        moments.append(outputs if weights.shape[0] == kernel_size else outputs + weights[kernel_size:])
    mean, variance = moments
    shape = tf.shape(mean) if None in mean.shape else mean.shape
    draws = tf.reshape(noise(tf.reduce_prod(shape) if None in mean.shape else int(np.prod(shape)), mean.dtype), shape)
    return mean + tf.sqrt(variance + SMALLEST_VARIANCE) * draws


@register_builtin("MeanFieldNormal")
class MeanFieldNormal(PosteriorFactory):
    r"""Independent normals, :math:`q(w) = \prod_i N(w_i; m_i, s_i^2)`: 2n parameters for n weights."""

    short_name, best_estimator = "mean_field", "local"

    def make(self, loc: np.ndarray, dtype: tf.DType) -> _MeanField:
        """Make the posterior of one layer."""
        return _MeanField(loc, self.scale, dtype)

    def variable_shapes(self, num_weights: int) -> list[tuple[int, ...]]:
        """Shapes of means and scales."""
        return [(num_weights,), (num_weights,)]
