r"""Positive scales from unbounded numbers, :math:`\mathrm{scale} = \mathrm{min\_scale} + \mathrm{softplus}(raw)`.

Formulas use the log scale, with an explicit gradient: the derivative with respect to the scale is of the order of
1 / scale^3, and the chain rule would multiply an overflowed derivative by a sigmoid that has vanished.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from varbump.core.checks import check_count, check_number
from varbump.likelihoods.constants import Constant

__all__ = ["AT_FLOOR", "LARGEST", "LearnedScale", "check_min_scale", "log_scale"]

SMALLEST, LARGEST = 1e-15, 1e15
"""Range of scales: their squares are normal float32 numbers."""

LOWEST_RAW = -50.0
"""Below it softplus adds nothing to any floor; its derivative there, 2e-22, is still above zero."""

AT_FLOOR = 1.1
"""A scale of at most this many floors is held by it: without one, it would be smaller."""


def check_min_scale(
    min_scale: Any, argument: str = "min_scale", what: str = ", a standard deviation,", smallest: float = SMALLEST
) -> float:
    """Return `min_scale` as a float; raise a ValueError unless it lies between `smallest` and `LARGEST`."""
    min_scale = check_number(min_scale, f"{argument}{what}", strict=True)
    if not smallest <= min_scale <= LARGEST:
        raise ValueError(f"{argument} must lie between {smallest:g} and {LARGEST:g}, got {min_scale!r}")
    return min_scale


def log_scale(raw: tf.Tensor, min_scale: tf.Tensor) -> tf.Tensor:
    r""":math:`\log(\mathrm{min\_scale} + \log(1 + e^{raw}))`, same shape.

    The value is finite for every finite `raw`, and so is its gradient,
    :math:`\mathrm{sigmoid}(raw) / \mathrm{scale} \le 1` for scales that learn. Outside [`LOWEST_RAW`, `LARGEST`] the
    value is constant and the gradient zero.
    """

    @tf.custom_gradient
    def of(raw: tf.Tensor, floor: tf.Tensor) -> tuple[tf.Tensor, Callable[..., tuple[tf.Tensor, tf.Tensor]]]:
        scale = floor + tf.math.softplus(raw)
        return tf.math.log(scale), lambda upstream: (upstream * (tf.sigmoid(raw) / scale), tf.zeros_like(floor))

    clipped = tf.clip_by_value(raw, LOWEST_RAW, LARGEST)  # a selection: its gradient multiplies nothing by zero
    return of(clipped, tf.convert_to_tensor(min_scale, raw.dtype))


class LearnedScale:
    """Learned scales of a likelihood: one for all targets, or one for each.

    Parameters
    ----------
    scale : float or sequence (num_targets,)
        Initial scale.
    min_scale : float
        Floor of the scale.
    num_targets : int
        1 shares one scale among all targets.
    dtype : str
    argument : str, default="scale"
        Name of the argument in the likelihood, for its configuration and error messages.
    smallest : float
        Smallest floor allowed.

    Raises
    ------
    ValueError
        If a scale is below the floor or above `LARGEST`, or their number is not that of the targets.
    """

    def __init__(
        self,
        scale: Any,
        min_scale: Any,
        num_targets: Any,
        dtype: str,
        *,
        argument: str = "scale",
        smallest: float = SMALLEST,
    ) -> None:
        self.argument = argument
        what = ", a standard deviation," if argument == "scale" else ""
        floor = check_min_scale(min_scale, f"min_{argument}", what, smallest)
        self.num_targets = check_count(num_targets, "num_targets")
        values = np.asarray(scale, dtype=float) if np.ndim(scale) else check_number(scale, argument, strict=True)
        shape = (self.num_targets,) if self.num_targets > 1 else ()
        if np.shape(values) not in {(), shape}:
            raise ValueError(f"{argument} must be one number or one for each of {num_targets} targets, got {scale!r}")
        if not np.all((values >= floor) & (values <= LARGEST)):
            raise ValueError(f"{argument} must lie between min_{argument}, {floor:g}, and {LARGEST:g}, got {scale!r}")
        self.floor = Constant(floor, f"likelihood_min_{argument}")
        raw = self.raw(np.broadcast_to(values, shape))
        self.variable = tf.Variable(raw, dtype=dtype, name=f"likelihood_raw_{argument}")

    def assign(self, scale: Any) -> None:
        """Set the scales, a number or (Q,), to values between floor and `LARGEST`."""
        self.variable.assign(self.raw(np.asarray(scale, float)))

    def at(self, raw: Any) -> LearnedScale:
        """The same scales with the values of a tensor, which may have more axes, in place of those of the variable."""
        made = copy.copy(self)
        made.variable = raw
        return made

    def raw(self, scale: np.ndarray) -> np.ndarray:
        """Values of the variable for these scales."""
        above = scale - self.floor.value
        with np.errstate(divide="ignore"):  # a learned scale may have reached the floor
            return np.maximum(above + np.log(-np.expm1(-above)), LOWEST_RAW)  # the inverse of softplus

    def log(self, dtype: tf.DType) -> tf.Tensor:
        """Log scale, () or (Q,)."""
        return log_scale(tf.cast(self.variable, dtype), self.floor.read(dtype))

    def log_half_cauchy(self, medians: np.ndarray) -> tf.Tensor:
        r"""Log density of the raw values, nats, for independent scales with half-Cauchy distributions.

        .. math:: \sum \log \frac{2}{\pi A (1 + s^2 / A^2)} + \log \frac{ds}{d\,raw}

        Parameters
        ----------
        medians : ndarray (1,) or (Q,)
            A.
        """
        raw = tf.reshape(self.variable, [-1])
        log_median = tf.constant(np.log(medians), raw.dtype)
        log_ratio = log_scale(raw, self.floor.read(raw.dtype)) - log_median
        terms = np.log(2.0 / np.pi) - log_median - tf.math.softplus(2.0 * log_ratio) + tf.math.log_sigmoid(raw)
        return tf.reduce_sum(terms)

    @property
    def value(self) -> float | np.ndarray:
        """Current scale, a float or an ndarray (Q,)."""
        raw = np.clip(self.variable.numpy().astype(float), LOWEST_RAW, LARGEST)
        scale = self.floor.value + np.logaddexp(0.0, raw)
        return float(scale) if scale.ndim == 0 else scale

    @property
    def share_at_floor(self) -> float:
        """Share of the scales that their floor holds."""
        return float(np.mean(np.asarray(self.value) <= AT_FLOOR * self.floor.value))

    def check_targets(self, num_targets: int) -> None:
        """Raise a ValueError unless there is one scale, or one for each target."""
        if self.num_targets not in (1, num_targets):
            raise ValueError(f"The likelihood has {self.num_targets} {self.argument}s, but y has {num_targets} columns")
