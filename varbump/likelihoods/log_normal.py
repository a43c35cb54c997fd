"""Likelihood of positive numbers whose logarithm is normal."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from varbump.core.keras import keras
from varbump.core.random import standard_normal
from varbump.core.registry import register_builtin
from varbump.likelihoods.base import Likelihood
from varbump.likelihoods.learned_scale import LearnedScaleLikelihood
from varbump.likelihoods.log_link import LogLink, LogLinkLikelihood
from varbump.likelihoods.normal_nll import normal_nll
from varbump.likelihoods.scales import LearnedScale

__all__ = ["LogNormal"]


@register_builtin("LogNormalLikelihood")
class LogNormal(LogLinkLikelihood, LearnedScaleLikelihood):
    r"""Log-normal likelihood of positive y, with the median predicted by the network and a learned scale.

    .. math:: \log y \sim N(\mathrm{offset} + f, \mathrm{scale}^2)

    The median is :math:`\exp(\mathrm{offset} + f)`; the mean is larger by :math:`\exp(\mathrm{scale}^2 / 2)`. The scale
    is a weight of this object, trained by `varbump.fit` as a point estimate, see `LearnedNormal`. Errors multiply.

    Parameters
    ----------
    scale : float or sequence (num_targets,), default=1.0
        Initial standard deviation of log y, dimensionless.
    offset : float or sequence (Q,), optional
        Log of the median at f = 0. 0 if omitted; `VariationalRegressor` then sets it to the mean of log y.
    min_scale : float, default=1e-3
        Floor of the scale: the smallest relative error of y.
    num_targets : int, default=1
        Number of scales: Q for one per column of y, 1 for one shared by all.
    dtype : str, optional
        Type of the weight, "float32" or "float64"; Keras' default if omitted.

    Raises
    ------
    ValueError
        If a number is out of range; in training, if y are not above 0.

    References
    ----------
    Limpert, Stahel and Abbt (2001), "Log-normal Distributions across the Sciences".
    """

    short_name, standardises_y, scale_varies = "log_normal", False, True
    support, open_support = (0.0, np.inf), True
    constant_keys = ("offset", "min_scale")

    def __init__(
        self,
        scale: Any = 1.0,
        *,
        offset: Any = None,
        min_scale: float = 1e-3,
        num_targets: int = 1,
        dtype: str | None = None,
        reduction: str = "auto",
        name: str = "log_normal_nll",
    ) -> None:
        super().__init__(reduction=reduction, name=name)
        self.dtype, self._link = dtype or keras.backend.floatx(), LogLink(offset)
        self._scale = LearnedScale(scale, min_scale, num_targets, self.dtype)

    @classmethod
    def for_table(cls, y: np.ndarray, resolution: float) -> Likelihood:
        """Place the geometric mean of y at f = 0, with the relative resolution of y as the floor of the scale."""
        floor = float(np.clip(resolution / y.mean(), 1e-6, 1.0))
        return cls(min_scale=floor, num_targets=y.shape[1]).adapted(y, resolution)

    def level(self, y: np.ndarray) -> np.ndarray:
        """Geometric mean of y for each target, shape (Q,)."""
        return np.exp(np.log(y).mean(axis=0))

    @property
    def scale(self) -> float | np.ndarray:
        """Current standard deviation of log y, a float or an ndarray (Q,)."""
        return self._scale.value

    @property
    def min_scale(self) -> float:
        """Floor of the scale."""
        return self._scale.floor.value

    def distribution(self, f: Any) -> Any:
        """Distribution of y given f, batch shape (..., Q)."""
        f = tf.convert_to_tensor(f)
        scale = tf.broadcast_to(tf.exp(self._scale.log(f.dtype)), tf.shape(f))
        return tfp.distributions.LogNormal(self._link.log(f, f.dtype), scale)

    def nll(self, y: Any, f: Any) -> tf.Tensor:
        r"""Negative log-density of each observation, in nats, summed over targets; infinite for y <= 0.

        .. math:: \sum_q \tfrac12 z_q^2 + \log \mathrm{scale}_q + \log y_q + \tfrac12 \log 2\pi, \quad
                  z_q = (\log y_q - \mathrm{offset} - f_q) / \mathrm{scale}_q

        Parameters
        ----------
        y, f : Tensor (..., Q)
            Observations and network outputs.

        Returns
        -------
        Tensor (...)
        """
        f = tf.convert_to_tensor(f)
        y = tf.cast(y, f.dtype)
        is_inside = y > 0.0
        log_y = tf.math.log(tf.where(is_inside, y, tf.ones_like(y)))
        residual = log_y - self._link.log(f, f.dtype)
        nll = log_y + normal_nll(residual, tf.broadcast_to(self._scale.log(f.dtype), tf.shape(residual)))
        return tf.reduce_sum(tf.where(is_inside, nll, tf.constant(np.inf, f.dtype)), axis=-1)

    def sample(self, f: Any, seed: Any) -> tf.Tensor:
        """Draw one y for each f, shape (..., Q); `seed` is a stateless seed (2,)."""
        f = tf.convert_to_tensor(f)
        z = standard_normal(tf.shape(f), seed, f.dtype)
        return tf.exp(self._link.log(f, f.dtype) + tf.exp(self._scale.log(f.dtype)) * z)
