"""Likelihood of counts whose variance is their mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from scipy.special import pdtr

from varbump.core.registry import register_builtin
from varbump.likelihoods.log_link import LogLink, LogLinkLikelihood

__all__ = ["Poisson"]


@register_builtin("PoissonLikelihood")
class Poisson(LogLinkLikelihood):
    r"""Poisson likelihood of counts of independent events, with the rate predicted by the network.

    .. math:: p(y | f) = e^{-\mu} \mu^y / y!, \quad \mu = \exp(\mathrm{offset} + f), \quad y = 0, 1, 2, \dots

    Mean and variance are both :math:`\mu`; for counts with more scatter, see `NegativeBinomial`.

    Parameters
    ----------
    offset : float or sequence (Q,), optional
        Log of the mean count at f = 0, where a network starts. 0 if omitted; `VariationalRegressor` then sets it to
        the log of the mean of y. For y of the order of 1e4, pass ``np.log(y.mean())``.

    Raises
    ------
    ValueError
        If the offset is not finite and between -35 and 35; in training, if y are not whole numbers of at least 0.

    References
    ----------
    McCullagh and Nelder (1989), "Generalized Linear Models", section 6.2.
    """

    short_name, discrete, constant_keys = "poisson", True, ("offset",)

    def __init__(self, offset: Any = None, *, reduction: str = "auto", name: str = "poisson_nll") -> None:
        super().__init__(reduction=reduction, name=name)
        self._link = LogLink(offset)

    def distribution(self, f: Any) -> Any:
        """Distribution of y given f, batch shape (..., Q)."""
        f = tf.convert_to_tensor(f)
        return tfp.distributions.Poisson(log_rate=self._link.log(f, f.dtype))

    def cdf(self, y: Any, f: Any) -> np.ndarray:
        """P(Y_q <= y_q | f), shape (..., Q); by SciPy, which is exact for large counts too."""
        return pdtr(np.asarray(y, float), np.exp(self._link.log(f, tf.float64).numpy()))

    def nll(self, y: Any, f: Any) -> tf.Tensor:
        r"""Negative log-probability of each observation, in nats, summed over targets.

        .. math:: \sum_q \mu_q - y_q \log \mu_q + \log y_q!

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
        log_mean, y = self._link.log(f, tf.float64), tf.cast(tf.cast(y, f.dtype), tf.float64)
        nll = tf.exp(log_mean) - y * log_mean + tf.math.lgamma(1.0 + y)
        return tf.cast(tf.reduce_sum(nll, axis=-1), f.dtype)
