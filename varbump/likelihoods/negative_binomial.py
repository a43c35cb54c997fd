"""Likelihood of counts with more scatter than those of a Poisson distribution."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from scipy.special import betainc

from varbump.core.keras import keras
from varbump.core.registry import register_builtin
from varbump.likelihoods.base import Likelihood
from varbump.likelihoods.learned_scale import LearnedScaleLikelihood
from varbump.likelihoods.log_link import LogLink, LogLinkLikelihood
from varbump.likelihoods.scales import LearnedScale

__all__ = ["NegativeBinomial"]

SMALLEST_DISPERSION = 1e-8
"""Smallest dispersion: below it, differences of log gammas lose their digits even in double precision."""


@register_builtin("NegativeBinomialLikelihood")
class NegativeBinomial(LogLinkLikelihood, LearnedScaleLikelihood):
    r"""Negative binomial likelihood of counts, with the mean predicted by the network and a learned dispersion.

    .. math:: p(y | f) = \frac{\Gamma(y + r)}{y!\, \Gamma(r)} \frac{r^r \mu^y}{(r + \mu)^{r + y}}, \quad
              \mu = \exp(\mathrm{offset} + f), \quad r = 1 / \mathrm{dispersion}

    The variance is :math:`\mu + \mathrm{dispersion}\, \mu^2`; without dispersion this is `Poisson`. The dispersion is a
    weight of this object, trained by `varbump.fit` as a point estimate, see `LearnedNormal`.

    Parameters
    ----------
    dispersion : float or sequence (num_targets,), default=0.1
        Initial dispersion, dimensionless: the square of the scatter of the rates relative to their mean.
    offset : float or sequence (Q,), optional
        Log of the mean at f = 0, as in `Poisson`.
    min_dispersion : float, default=1e-4
        Floor of the dispersion, at least 1e-8.
    num_targets : int, default=1
        Number of dispersions: Q for one per column of y, 1 for one shared by all.
    dtype : str, optional
        Type of the weight, "float32" or "float64"; Keras' default if omitted.

    Raises
    ------
    ValueError
        If a number is out of range; in training, if y are not whole numbers of at least 0.

    References
    ----------
    Cameron and Trivedi (2013), "Regression Analysis of Count Data", section 3.3.1 (NB2).
    """

    short_name, discrete = "negative_binomial", True
    constant_keys = ("offset", "min_dispersion")

    def __init__(
        self,
        dispersion: Any = 0.1,
        *,
        offset: Any = None,
        min_dispersion: float = 1e-4,
        num_targets: int = 1,
        dtype: str | None = None,
        reduction: str = "auto",
        name: str = "negative_binomial_nll",
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
        """Place the mean of y at f = 0, with one dispersion for each target."""
        return cls(num_targets=y.shape[1]).adapted(y, resolution)

    @property
    def dispersion(self) -> float | np.ndarray:
        """Current dispersion, a float or an ndarray (Q,)."""
        return self._scale.value

    @property
    def min_dispersion(self) -> float:
        """Floor of the dispersion."""
        return self._scale.floor.value

    def share_at_floor(self, f: Any) -> float:
        """Return 0: without dispersion, the counts are those of a Poisson distribution."""
        del f
        return 0.0

    def distribution(self, f: Any) -> Any:
        """Distribution of y given f, batch shape (..., Q)."""
        f = tf.convert_to_tensor(f)
        log_r = -self._scale.log(f.dtype)
        total = tf.broadcast_to(tf.exp(log_r), tf.shape(f))
        return tfp.distributions.NegativeBinomial(total, logits=self._link.log(f, f.dtype) - log_r)

    def cdf(self, y: Any, f: Any) -> np.ndarray:
        """P(Y_q <= y_q | f), shape (..., Q); by SciPy's incomplete beta function."""
        mean, r = np.exp(self._link.log(f, tf.float64).numpy()), np.exp(-self._scale.log(tf.float64).numpy())
        y = np.floor(np.asarray(y, float))
        return np.where(y < 0.0, 0.0, betainc(r, np.maximum(y, 0.0) + 1.0, r / (r + mean)))

    def nll(self, y: Any, f: Any) -> tf.Tensor:
        r"""Negative log-probability of each observation, in nats, summed over targets.

        .. math:: \sum_q \log\Gamma(r) + \log y_q! - \log\Gamma(y_q + r) + r \log(1 + \mu_q / r)
                  + y_q \log(1 + r / \mu_q)

        Its terms are of the size of y log y and cancel, so they are taken in double precision.

        Parameters
        ----------
        y, f : Tensor (..., Q)
            Observations and network outputs.

        Returns
        -------
        Tensor (...)
        """
        f = tf.convert_to_tensor(f)
        log_r, y = -self._scale.log(tf.float64), tf.cast(tf.cast(y, f.dtype), tf.float64)
        r, logits = tf.exp(log_r), self._link.log(f, tf.float64) - log_r
        constant = tf.math.lgamma(r) + tf.math.lgamma(1.0 + y) - tf.math.lgamma(y + r)
        nll = constant + r * tf.math.softplus(logits) + y * tf.math.softplus(-logits)
        return tf.cast(tf.reduce_sum(nll, axis=-1), f.dtype)

    def mean(self, f: Any) -> tf.Tensor:
        """E[y | f], shape (..., Q)."""
        f = tf.convert_to_tensor(f)
        return tf.exp(self._link.log(f, f.dtype))

    def stddev(self, f: Any) -> tf.Tensor:
        """Standard deviation of y given f, shape (..., Q)."""
        mean = self.mean(f)
        return tf.sqrt(mean) * tf.sqrt(1.0 + tf.exp(self._scale.log(mean.dtype)) * mean)
