"""Negative log of the normal density as a function of (residual, log scale), with modified gradients."""

from __future__ import annotations

import math
from collections.abc import Callable

import tensorflow as tf

__all__ = ["normal_nll"]


def normal_nll(residual: tf.Tensor, log_scale: tf.Tensor, *, beta: float = 0.0, faithful: bool = False) -> tf.Tensor:
    r"""Negative log-density of each residual, in nats, elementwise.

    .. math:: \tfrac12 z^2 + \log \mathrm{scale} + \tfrac12 \log 2\pi, \quad z = \mathrm{residual} / \mathrm{scale}

    with these gradients, which for beta = 0 are its own:

    .. math:: \partial_{residual} = \mathrm{scale}^{2 \beta} \, z / \mathrm{scale}, \quad
              \partial_{\log scale} = \mathrm{scale}^{2 \beta} \, (1 - z^2)

    With `faithful`, the first one is the residual itself, the gradient for a scale of 1.

    Parameters
    ----------
    residual, log_scale : Tensor (..., Q)
        y - loc and the logarithm of the standard deviation, of the same shape.

    Returns
    -------
    Tensor (..., Q)
    """

    @tf.custom_gradient
    def of(residual: tf.Tensor, log_scale: tf.Tensor) -> tuple[tf.Tensor, Callable[..., tuple[tf.Tensor, tf.Tensor]]]:
        z = residual * tf.exp(-log_scale)

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            # one exponential of the sum of exponents: a product of its factors could be zero times infinity
            by_residual = residual if faithful else z * tf.exp((2.0 * beta - 1.0) * log_scale)
            by_log_scale = (1.0 - tf.square(z)) * tf.exp(2.0 * beta * log_scale)
            return upstream * by_residual, upstream * by_log_scale

        return 0.5 * tf.square(z) + log_scale + 0.5 * math.log(2.0 * math.pi), gradient

    return of(residual, log_scale)
