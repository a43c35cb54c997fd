r"""Normal distribution recorded by an instrument with limits: :math:`y = \min(\max(z, l), u)`, z normal.

The functions compute :math:`\Phi` and its integrals, with full relative accuracy in the tails.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from varbump.core.random import standard_normal
from varbump.likelihoods.normal_nll import normal_nll

__all__ = ["CensoredNormalDistribution", "censored_nll", "log_ndtr", "moments"]

CLOSE = 1e-6
"""Relative distance within which a number counts as being at the limit: float32 rounds limits."""

FAR = -1e4
"""Below it the hazard of a normal equals its argument, to all digits of float32 and to 1e-8."""


def log_ndtr(x: tf.Tensor) -> tf.Tensor:
    r""":math:`\log \Phi(x)`, elementwise, with its gradient :math:`\phi(x) / \Phi(x)`, by the scaled erfc.

    .. math:: \log \Phi(x) = -\tfrac12 x^2 + \log(\tfrac12 \operatorname{erfcx}(-x / \sqrt 2)), \quad x < 0
    """

    @tf.custom_gradient
    def of(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        is_left = x < 0.0
        left, right = tf.where(is_left, x, -tf.ones_like(x)), tf.where(is_left, tf.ones_like(x), x)
        scaled = tfp.math.erfcx(-tf.maximum(left, -1e30) * math.sqrt(0.5))
        tail = 0.5 * tf.math.erfc(right * math.sqrt(0.5))
        value = tf.where(is_left, tf.math.log(0.5 * scaled) - 0.5 * tf.square(left), tf.math.log1p(-tail))

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            by_left = tf.where(left < FAR, -left, math.sqrt(2.0 / math.pi) / scaled)
            density = tf.exp(-0.5 * tf.square(right)) / math.sqrt(2.0 * math.pi)
            return upstream * tf.where(is_left, by_left, density / (1.0 - tail))

        return value, gradient

    return of(x)


def censored_nll(y: tf.Tensor, loc: tf.Tensor, log_scale: tf.Tensor, lower: float, upper: float) -> tf.Tensor:
    r"""Negative log of the density between the limits, and of the probability at each of them, nats, elementwise.

    .. math:: -\log \Phi((l - \mathrm{loc}) / \mathrm{scale}) \text{ at } l, \quad
              -\log \Phi((\mathrm{loc} - u) / \mathrm{scale}) \text{ at } u

    Parameters
    ----------
    y, loc, log_scale : Tensor (..., Q)
    lower, upper : float
        May be infinite.
    """
    nll = tf.zeros_like(loc)
    is_inside = tf.ones_like(loc, tf.bool)
    inverse = tf.exp(-log_scale)
    for limit, side in ((lower, 1.0), (upper, -1.0)):
        if math.isinf(limit):
            continue
        slack = CLOSE * abs(limit)
        is_at = y <= limit + slack if side > 0 else y >= limit - slack
        # other entries get a number whose gradient is finite, and are not selected
        beyond = tf.where(is_at, side * (limit - loc), tf.zeros_like(loc)) * inverse
        nll = tf.where(is_at, -log_ndtr(beyond), nll)
        is_inside &= ~is_at
    residual = tf.where(is_inside, y - loc, tf.zeros_like(loc))
    return tf.where(is_inside, normal_nll(residual, log_scale), nll)


def moments(loc: tf.Tensor, scale: tf.Tensor, lower: float, upper: float) -> tuple[tf.Tensor, tf.Tensor]:
    r"""Mean and standard deviation of the censored y, elementwise, in double precision.

    With the excess :math:`(z - l)_+` over a limit, :math:`y = l + (z - l)_+ - (z - u)_+`.

    References
    ----------
    Greene (2018), "Econometric Analysis", theorem 19.3, for one limit.
    """
    loc, scale = tf.cast(loc, tf.float64), tf.cast(scale, tf.float64)
    if math.isinf(lower):
        if math.isinf(upper):
            return loc, scale
        mean, sd = moments(-loc, scale, -upper, math.inf)  # the mirror image
        return -mean, sd
    first, second = _excess((loc - lower) / scale)
    if not math.isinf(upper):
        beyond, beyond_squared = _excess((loc - upper) / scale)
        width = (upper - lower) / scale
        first, second = first - beyond, second - beyond_squared - 2.0 * width * beyond
    variance = tf.maximum(second - tf.square(first), 0.0)
    return lower + scale * first, scale * tf.sqrt(variance)


def _excess(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    r"""First and second moment of :math:`(Z + x)_+` for a standard normal Z."""
    density, below = (
        tf.exp(-0.5 * tf.square(x)) / math.sqrt(2.0 * math.pi),
        tfp.distributions.Normal(tf.zeros([], x.dtype), tf.ones([], x.dtype)).cdf(x),
    )
    first = x * below + density
    return tf.maximum(first, 0.0), tf.maximum(below + x * first, 0.0)


class CensoredNormalDistribution(tfp.distributions.Distribution):
    """Normal distribution censored at the limits; `log_prob` at a limit is the log of its probability.

    Parameters
    ----------
    loc, scale : Tensor (..., Q)
        Parameters of the normal distribution.
    lower, upper : float
        May be infinite.
    """

    def __init__(self, loc: Any, scale: Any, lower: float, upper: float, name: str = "CensoredNormal") -> None:
        parameters = {"loc": loc, "scale": scale, "lower": lower, "upper": upper, "name": name}
        self.loc, self.scale, self.lower, self.upper = loc, scale, lower, upper
        super().__init__(
            dtype=loc.dtype,
            reparameterization_type=tfp.distributions.NOT_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    def _batch_shape(self) -> tf.TensorShape:
        return self.loc.shape

    def _batch_shape_tensor(self) -> tf.Tensor:
        return tf.shape(self.loc)

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape([])

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.constant([], tf.int32)

    def _log_prob(self, y: tf.Tensor) -> tf.Tensor:
        y, loc = tf.broadcast_to(y, tf.broadcast_dynamic_shape(tf.shape(y), tf.shape(self.loc))), self.loc
        loc, scale = tf.broadcast_to(loc, tf.shape(y)), tf.broadcast_to(self.scale, tf.shape(y))
        return -censored_nll(y, loc, tf.math.log(scale), self.lower, self.upper)

    def _cdf(self, y: tf.Tensor) -> tf.Tensor:
        inside = tfp.distributions.Normal(self.loc, self.scale).cdf(y)
        above = tf.where(y >= self.upper, tf.ones_like(inside), inside)
        return tf.where(y < self.lower, tf.zeros_like(inside), above)

    def _mean(self) -> tf.Tensor:
        return tf.cast(moments(self.loc, self.scale, self.lower, self.upper)[0], self.dtype)

    def _stddev(self) -> tf.Tensor:
        return tf.cast(moments(self.loc, self.scale, self.lower, self.upper)[1], self.dtype)

    def _variance(self) -> tf.Tensor:
        return tf.square(self._stddev())

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        seed = tfp.random.sanitize_seed(seed)
        z = standard_normal(tf.concat([[n], tf.shape(self.loc)], 0), seed, self.dtype)
        return tf.minimum(tf.maximum(self.loc + self.scale * z, self.lower), self.upper)
