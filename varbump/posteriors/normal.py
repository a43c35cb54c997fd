"""Base of the normal families: means, and scales that stay positive."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from varbump.forward.elbo import as_normal
from varbump.posteriors.base import Posterior

__all__ = ["DrawsOnConversion", "NormalPosterior", "softplus_inverse"]


class DrawsOnConversion:
    """Mixin for distributions: `tf.convert_to_tensor` returns one cached draw, as the stock TFP layer expects."""

    _draw: tf.Tensor | None = None

    def as_tensor(self, dtype: Any = None, name: str | None = None, as_ref: bool = False) -> tf.Tensor:
        """Return the cached draw."""
        del name, as_ref
        if self._draw is None:
            self._draw = self.sample()  # type: ignore[attr-defined]
        return self._draw if dtype is None else tf.cast(self._draw, dtype)


tf.register_tensor_conversion_function(DrawsOnConversion, DrawsOnConversion.as_tensor)


class NormalPosterior(Posterior):
    """Base of normal q(w); the Cholesky factor of the covariance, given preceding layers, has diagonal `diag`.

    Parameters
    ----------
    loc : ndarray (n,)
        Initial means.
    scale : float or ndarray (n,)
        Initial diagonal of the Cholesky factor.
    dtype : DType
        Type of the variables.
    """

    def __init__(self, loc: np.ndarray, scale: Any, dtype: tf.DType, **kwargs: Any) -> None:
        super().__init__(loc, dtype, **kwargs)
        self._raw_scale = self.add_variable("raw_scale", softplus_inverse(np.broadcast_to(scale, np.shape(loc))))

    @property
    def mean(self) -> tf.Tensor:
        """E[w], shape (n,): the variable `loc`."""
        return self.loc

    @property
    def diag(self) -> tf.Tensor:
        """Diagonal of the Cholesky factor, softplus(raw_scale), shape (n,)."""
        return tf.nn.softplus(self._raw_scale)

    def weighted_variance(self, precision: tf.Tensor) -> tf.Tensor:
        """sum_i precision_i Var[w_i], a scalar, for precisions (n,)."""
        return tf.reduce_sum(precision * self.variances())

    def log_det(self) -> tf.Tensor:
        """Log determinant of the Cholesky factor of the covariance, given any preceding layers."""
        return tf.reduce_sum(tf.math.log(self.diag))

    def entropy(self) -> tf.Tensor:
        r"""Entropy in nats, :math:`\log\det L + \tfrac n2 (1 + \log 2\pi)`; conditional on any preceding layers.

        By the chain rule, the entropies of dependent layers add up to the joint entropy.
        """
        return self.log_det() + 0.5 * self.num_weights * (1.0 + math.log(2.0 * math.pi))

    def log_prob(self, noise: tf.Tensor) -> tf.Tensor:
        r"""Log density of q, in nats, at ``transform(noise)``; conditional on any preceding layers.

        With as many noise numbers z as weights, this is :math:`-\tfrac12 z^T z - \tfrac n2 \log 2\pi - \log\det L`.
        """
        own = noise[-self.num_noise :]
        return -0.5 * (tf.reduce_sum(tf.square(own)) + self.num_weights * math.log(2.0 * math.pi)) - self.log_det()

    def kl(self, p: tfd.Distribution) -> tf.Tensor | None:
        """KL(q || p) in nats for normal and Laplace p, without a dense covariance if p is diagonal; otherwise None."""
        normal = as_normal(p)
        if normal is not None:
            independent = isinstance(normal, tfd.MultivariateNormalDiag)
            return self.kl_to_normal(normal) if independent else self.kl_to_dependent(normal)
        if isinstance(p, tfd.Independent) and isinstance(p.distribution, tfd.Laplace):
            return self.kl_to_laplace(p.distribution)
        return None

    def kl_to_normal(self, p: tfd.MultivariateNormalDiag) -> tf.Tensor:
        r"""KL(q || p) in nats to a diagonal normal p with means m and standard deviations s.

        .. math:: \tfrac12 \sum_i \left[ (\mathrm{Var}[w_i] + (\mathrm{loc}_i - m_i)^2) / s_i^2 - 1 + \log s_i^2 \right]
                  - \log \det L
        """
        s = p.stddev()
        precision = 1.0 / tf.square(s)
        fit = self.weighted_variance(precision) + tf.reduce_sum(precision * tf.square(self.mean - p.mean()))
        return 0.5 * (fit - float(self.num_weights)) + tf.reduce_sum(tf.math.log(s)) - self.log_det()

    def kl_to_dependent(self, p: tfd.MultivariateNormalLinearOperator) -> tf.Tensor:
        r"""KL(q || p) in nats to a normal p with mean m and covariance :math:`A A^T`.

        .. math:: \tfrac12 \left[ \|A^{-1} R\|^2 + \|A^{-1} (\mathrm{loc} - m)\|^2 - n \right]
                  + \log |\det A| - \log \det L

        with the `square_root` R of the covariance of q; L is that given any preceding layers.
        """
        columns = tf.concat([self.square_root(), (self.mean - p.mean())[:, None]], 1)
        fit = tf.reduce_sum(tf.square(p.scale.solve(columns)))
        return 0.5 * (fit - float(self.num_weights)) + p.scale.log_abs_determinant() - self.log_det()

    def square_root(self) -> tf.Tensor:
        r"""Matrix R (n, M) with :math:`R R^T` the covariance of the weights."""
        return self().scale.to_dense()

    def kl_to_laplace(self, p: tfd.Laplace) -> tf.Tensor:
        r"""KL(q || p) in nats to independent Laplace distributions with locations m and scales b.

        .. math:: \sum_i \left[ \log 2 b_i + \operatorname{E}|w_i - m_i| / b_i \right] - \mathrm{H}(q)

        with :math:`\operatorname{E}|d + s z| = s \sqrt{2/\pi}\, e^{-d^2 / 2 s^2} + d \operatorname{erf}(d / s \sqrt 2)`
        for standard normal z.
        """
        variance, d = self.variances(), self.mean - p.loc
        s = tf.sqrt(variance)
        expected = s * math.sqrt(2 / math.pi) * tf.exp(-0.5 * tf.square(d / s)) + d * tf.math.erf(d / s / math.sqrt(2))
        return tf.reduce_sum(tf.math.log(2.0 * p.scale) + expected / p.scale) - self.entropy()


def softplus_inverse(value: np.ndarray) -> np.ndarray:
    """Compute log(exp(value) - 1) without overflow, for positive values."""
    return value + np.log(-np.expm1(-value))
