r"""Bump functions: values and gradients that are finite and exact for every input.

The usual definitions fail because `tf.where` passes on the gradient of the branch that is not taken, times zero: an
infinite gradient becomes nan. Here the *input* of the branch is replaced where it does not apply. With
:math:`\rho = \sqrt\sigma`, :math:`r = x / \rho`, :math:`u = 1 / (1 - r^2)` and :math:`h = e^{-u/2}` the value and both
derivatives are products of h, u, r and :math:`1 / \rho`, ordered such that no factor leaves the range of the type
before the result does: one exponential, and nothing that multiplies zero by infinity.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

__all__ = ["SUPPORTS", "bump", "gaussian_bump"]

SUPPORTS = ("smooth", "threshold")


def bump(x: Any, sigma: Any, support: str = "smooth") -> tf.Tensor:
    r"""Compute the bump function, elementwise.

    .. math:: f(x; \sigma) = \exp\left(-\frac{\sigma}{\sigma - x^2}\right) \text{ on the support, } 0 \text{ elsewhere}

    Parameters
    ----------
    x, sigma : Tensor
        Arguments of one floating type (float64, float32, bfloat16 or float16), broadcast against each other.
        :math:`\sigma` is the squared radius, in squared units of x. Where it is zero or negative the function is zero.
    support : {"smooth", "threshold"}
        "smooth": :math:`|x| < \sqrt\sigma`; the function is infinitely differentiable. "threshold": the popular
        definition, non-zero on :math:`|x| < \sigma`, as far as it exists: :math:`|x| < \min(\sigma, \sqrt\sigma)`. For
        :math:`\sigma < 1` it falls at its edge from :math:`e^{-1/(1-\sigma)}` to 0, and its gradient is that of the
        interior, which does not see the edge.

    Returns
    -------
    Tensor
        Values in [0, 1/e]; nan only where `x` or `sigma` is nan. First and second derivatives with respect to both
        are available; a first derivative that would overflow is the largest number of the type.

    Raises
    ------
    ValueError
        If `support` is neither of the two.

    References
    ----------
    Lee (2012), "Introduction to Smooth Manifolds", 2nd edition, lemma 2.22.
    """
    if support not in SUPPORTS:
        raise ValueError(f"support must be one of {SUPPORTS}, got {support!r}")

    @tf.custom_gradient
    def function(x: tf.Tensor, sigma: tf.Tensor) -> tuple[tf.Tensor, Any]:
        dtype = x.dtype
        wide_x, wide_sigma = _widen(x), _widen(sigma)
        inside, r, _ = _interior(wide_x, wide_sigma, support)
        h = tf.exp(-0.5 / ((1.0 - r) * (1.0 + r)))
        value = tf.where(inside, tf.minimum(h * h, _largest_below(math.exp(-1.0), dtype)), 0.0)
        is_nan = tf.math.is_nan(wide_x) | tf.math.is_nan(wide_sigma)
        value = tf.where(is_nan, tf.constant(math.nan, value.dtype), value)

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            inside, r, rho = _interior(_widen(x), _widen(sigma), support)
            u = 1.0 / ((1.0 - r) * (1.0 + r))
            g = tf.where(inside, u * tf.exp(-0.5 * u), 0.0)
            slope = g * r / rho  # d f / d sigma = slope^2, d f / d x = -2 g slope
            return _pull_back(upstream, [(-2.0 * g * slope, x), (tf.square(slope), sigma)])

        return tf.cast(value, dtype), gradient

    return function(*_alike(x, sigma))


def gaussian_bump(x: Any, height: Any, inverse_width: Any, center: Any) -> tf.Tensor:
    r"""Compute the Gaussian bump :math:`a\, e^{-b (x - c)^2}`, elementwise; it is smooth and has no edge.

    Parameters
    ----------
    x, height, inverse_width, center : Tensor
        x, a, b and c, of one floating type, broadcast against each other. b is in units of :math:`x^{-2}`; a negative
        one counts as 0.

    Returns
    -------
    Tensor
        Values between 0 and `height`; nan only where an argument is nan. First and second derivatives with respect to
        all four are available; a first derivative that would overflow is the largest number of the type.
    """

    @tf.custom_gradient
    def function(x: tf.Tensor, a: tf.Tensor, b: tf.Tensor, c: tf.Tensor) -> tuple[tf.Tensor, Any]:
        wide = [_widen(v) for v in (x, a, b, c)]
        h, _, _ = _gaussian_half(wide[0], wide[2], wide[3])
        value = _saturate(wide[1] * h * h, x.dtype)
        for v in wide:  # after the clipping, through which not every compiler passes a nan
            value = tf.where(tf.math.is_nan(v), tf.cast(math.nan, x.dtype), value)

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, ...]:
            wide_x, wide_a, wide_b, wide_c = (_widen(v) for v in (x, a, b, c))
            h, z, root = _gaussian_half(wide_x, wide_b, wide_c)
            slope = -2.0 * wide_a * (root * h) * (root * z * h)
            return _pull_back(upstream, [(slope, x), (h * h, a), (-wide_a * tf.square(z * h), b), (-slope, c)])

        return value, gradient

    return function(*_alike(x, height, inverse_width, center))


def _interior(x: tf.Tensor, sigma: tf.Tensor, support: str) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Whether x lies in the support, r = x / rho there and 0 elsewhere, rho where it is positive and 1 elsewhere."""
    positive = sigma > 0.0
    rho = tf.sqrt(tf.where(positive, sigma, 1.0))
    edge = tf.minimum(rho, sigma) if support == "threshold" else rho
    inside = positive & (tf.abs(x) < edge)
    r = tf.where(inside, x, 0.0) / rho
    inside &= tf.abs(r) < 1.0  # the quotient may round up to 1
    return inside, tf.where(inside, r, 0.0), rho


def _gaussian_half(x: tf.Tensor, b: tf.Tensor, c: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The root of exp(-b (x - c)^2) and x - c, both 0 where the former is 0 in the type, and the root of b."""
    positive = b > 0.0
    root = tf.where(positive, tf.sqrt(tf.where(positive, b, 1.0)), 0.0)
    z = x - c
    near = tf.abs(root * z) < 60.0  # false for infinities, and for the nan of 0 times infinity
    z = tf.where(near, z, 0.0)
    return tf.where(near, tf.exp(-0.5 * tf.square(root * z)), 0.0), z, root


def _alike(*values: Any) -> list[tf.Tensor]:
    """Convert all to the floating type of the first argument that has one, or to float32."""
    types = [tf.as_dtype(v.dtype) for v in values if hasattr(v, "dtype")]
    dtype = next((t for t in types if t.is_floating), tf.float32)
    return [tf.cast(v, dtype) for v in values]


def _widen(value: tf.Tensor) -> tf.Tensor:
    """Convert half precision to float32, so that results are right to the last bit."""
    return tf.cast(value, tf.float32) if value.dtype.size < 4 else value


def _saturate(value: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Convert `value` to `dtype`, clipping what would overflow."""
    return tf.cast(tf.clip_by_value(value, tf.cast(dtype.min, value.dtype), tf.cast(dtype.max, value.dtype)), dtype)


def _largest_below(limit: float, dtype: tf.DType) -> float:
    """The largest number of `dtype` that is at most `limit`."""
    number = np.asarray(limit, dtype.as_numpy_dtype)
    return float(number if float(number) <= limit else np.nextafter(number, np.zeros_like(number)))


def _pull_back(upstream: tf.Tensor, derivatives: Sequence[tuple[tf.Tensor, tf.Tensor]]) -> tuple[tf.Tensor, ...]:
    """Upstream gradient times each derivative, summed over the axes along which the argument was broadcast."""
    results = []
    for derivative, argument in derivatives:
        product = _saturate(tf.cast(upstream, derivative.dtype) * derivative, derivative.dtype)
        _, axes = tf.raw_ops.BroadcastGradientArgs(s0=tf.shape(product), s1=tf.shape(argument))
        total = tf.reshape(tf.reduce_sum(product, axes), tf.shape(argument))
        results.append(_saturate(total, argument.dtype))
    return tuple(results)
