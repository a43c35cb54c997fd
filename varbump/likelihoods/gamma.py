"""Likelihood of positive numbers whose standard deviation is proportional to their mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from scipy.special import gammainc

from varbump.core.keras import keras
from varbump.core.registry import register_builtin
from varbump.likelihoods.base import Likelihood
from varbump.likelihoods.learned_scale import LearnedScaleLikelihood
from varbump.likelihoods.log_link import LogLink, LogLinkLikelihood
from varbump.likelihoods.scales import LearnedScale

__all__ = ["Gamma"]

SMALLEST_DISPERSION = 1e-8
"""Smallest dispersion: below it, differences of log gammas lose their digits even in double precision."""


@register_builtin("GammaLikelihood")
class Gamma(LogLinkLikelihood, LearnedScaleLikelihood):
    r"""Gamma likelihood of positive y, such as durations, with a predicted mean and a learned dispersion.

    .. math:: p(y | f) = \frac{(k / \mu)^k}{\Gamma(k)} y^{k - 1} e^{-k y / \mu}, \quad
              \mu = \exp(\mathrm{offset} + f), \quad k = 1 / \mathrm{dispersion}

    The standard deviation is :math:`\mu \sqrt{\mathrm{dispersion}}`. The dispersion is a weight of this object, trained
    by `varbump.fit` as a point estimate, see `LearnedNormal`.

    Parameters
    ----------
    dispersion : float or sequence (num_targets,), default=1.0
        Initial squared coefficient of variation, dimensionless. 1 is the exponential distribution.
    offset : float or sequence (Q,), optional
        Log of the mean at f = 0, as in `Poisson`.
    min_dispersion : float, default=1e-6
        Floor of the dispersion, at least 1e-8: the square of the smallest relative error of y.
    num_targets : int, default=1
        Number of dispersions: Q for one per column of y, 1 for one shared by all.
    dtype : str, optional
        Type of the weight, "float32" or "float64"; Keras' default if omitted.

    Raises
    ------
    ValueError
        If a number is out of range; in training, if y are not above 0.

    References
    ----------
    McCullagh and Nelder (1989), "Generalized Linear Models", chapter 8.
    """

    short_name, standardises_y, scale_varies = "gamma", False, True
    support, open_support = (0.0, np.inf), True
    constant_keys = ("offset", "min_dispersion")

    def __init__(
        self,
        dispersion: Any = 1.0,
        *,
        offset: Any = None,
        min_dispersion: float = 1e-6,
        num_targets: int = 1,
        dtype: str | None = None,
        reduction: str = "auto",
        name: str = "gamma_nll",
    ) -> None:
        super().__init__(reduction=reduction, name=name)
        self.dtype, self._link = dtype or keras.backend.floatx(), LogLink(offset)
        self._scale = LearnedScale(
            dispersion,
            min_dispersion,
            num_targets,
            self.dtype,
            argument="dispersion",
            smallest=SMALLEST_DISPERSION,
        )

    @classmethod
    def for_table(cls, y: np.ndarray, resolution: float) -> Likelihood:
        """Place the mean of y at f = 0, with the relative resolution of y as the floor of the noise."""
        floor = float(np.clip((resolution / y.mean()) ** 2, SMALLEST_DISPERSION, 1.0))
        return cls(min_dispersion=floor, num_targets=y.shape[1]).adapted(y, resolution)

    @property
    def dispersion(self) -> float | np.ndarray:
        """Current dispersion, a float or an ndarray (Q,)."""
        return self._scale.value

    @property
    def min_dispersion(self) -> float:
        """Floor of the dispersion."""
        return self._scale.floor.value

    def distribution(self, f: Any) -> Any:
        """Distribution of y given f, batch shape (..., Q)."""
        f = tf.convert_to_tensor(f)
        log_k = -self._scale.log(f.dtype)
        log_rate = log_k - self._link.log(f, f.dtype)
        return tfp.distributions.Gamma(tf.broadcast_to(tf.exp(log_k), tf.shape(f)), log_rate=log_rate)

    def cdf(self, y: Any, f: Any) -> np.ndarray:
        """P(Y_q <= y_q | f), shape (..., Q); by SciPy's incomplete gamma function."""
        mean, k = np.exp(self._link.log(f, tf.float64).numpy()), np.exp(-self._scale.log(tf.float64).numpy())
        return gammainc(k, k * np.maximum(np.asarray(y, float), 0.0) / mean)

    def nll(self, y: Any, f: Any) -> tf.Tensor:
        r"""Negative log-density of each observation, in nats, summed over targets; infinite for y <= 0.

        .. math:: \sum_q k (e^u - u) + \log \Gamma(k) - k \log k + \log y_q, \quad u = \log (y_q / \mu_q)

        Terms of the size of k cancel, so they are taken in double precision.

        Parameters
        ----------
        y, f : Tensor (..., Q)
            Observations and network outputs.

        Returns
        -------
        Tensor (...)
        """
        f = tf.convert_to_tensor(f)
        log_k, y = -self._scale.log(tf.float64), tf.cast(tf.cast(y, f.dtype), tf.float64)
        k, is_inside = tf.exp(log_k), y > 0.0
        log_y = tf.math.log(tf.where(is_inside, y, 1.0))
        u = log_y - self._link.log(f, tf.float64)
        nll = k * (tf.exp(u) - u) + tf.math.lgamma(k) - k * log_k + log_y
        nll = tf.where(is_inside, nll, tf.constant(np.inf, tf.float64))
        return tf.cast(tf.reduce_sum(nll, axis=-1), f.dtype)

    def mean(self, f: Any) -> tf.Tensor:
        """E[y | f], shape (..., Q), in units of y."""
        f = tf.convert_to_tensor(f)
        return tf.exp(self._link.log(f, f.dtype))

    def stddev(self, f: Any) -> tf.Tensor:
        """Standard deviation of y given f, shape (..., Q), in units of y."""
        mean = self.mean(f)
        return mean * tf.exp(0.5 * self._scale.log(mean.dtype))
