r"""Scales that maximise the marginal likelihood of Laplace's approximation.

With weights w and one prior N(0, s^2) for all of them,

.. math:: \log p(y) \approx \log p(y | w) - \frac{|w|^2}{2 s^2} - \frac12 \sum_i \log(1 + s^2 \lambda_i),

where lambda are the eigenvalues of the Gauss-Newton matrix (MacKay 1992, "A Practical Bayesian Framework for
Backpropagation Networks"; Immer et al. 2021, "Scalable Marginal Likelihood Estimation for Model Selection in Deep
Learning"). The derivative with respect to log s falls throughout, so there is one maximum. That with respect to the log
of normal noise does, too, at the best s.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq

__all__ = ["best_noise", "best_prior_scale"]

TOLERANCE = 1e-12


def best_prior_scale(eigenvalues: np.ndarray, squared_norm: float) -> float:
    r"""The s with :math:`|w|^2 / s^2 = \sum_i s^2 \lambda_i / (1 + s^2 \lambda_i)`, the number of effective weights.

    Parameters
    ----------
    eigenvalues : ndarray (P,)
        At least one is positive.
    squared_norm : float
        |w|^2, positive.
    """
    largest = float(eigenvalues.max())
    # the right-hand side lies between s^2 lambda_max / (1 + s^2 lambda_max) and s^2 times the sum of all
    low = 0.25 * np.log(squared_norm / eigenvalues.sum())
    high = 0.5 * np.log(0.5 * (squared_norm + np.sqrt(squared_norm**2 + 4.0 * squared_norm / largest)))

    def slope(log_scale: float) -> float:
        values = np.exp(2.0 * log_scale) * eigenvalues
        return float(np.log(squared_norm) - 2.0 * log_scale - np.log(np.sum(values / (1.0 + values))))

    return float(np.exp(_root(slope, low, high)))


def best_noise(
    eigenvalues: np.ndarray, squared_norm: float, squared_error: float, num: int, prior_scale: float | None = None
) -> float:
    r"""The noise with :math:`\sum_n (y_n - f_n)^2 / \sigma^2 = N - \gamma`, the latter being the effective weights.

    Parameters
    ----------
    eigenvalues : ndarray (P,)
        For noise of scale 1.
    squared_norm : float
        |w|^2, positive.
    squared_error : float
        Sum of squares of y - f, positive.
    num : int
        Number of observations, N times Q.
    prior_scale : float, optional
        By default the best one for each noise.
    """

    def slope(log_noise: float) -> float:
        values = np.exp(-2.0 * log_noise) * eigenvalues
        scale = best_prior_scale(values, squared_norm) if prior_scale is None else prior_scale
        values = scale**2 * values
        return float(squared_error * np.exp(-2.0 * log_noise) + np.sum(values / (1.0 + values)) - num)

    low = 0.5 * np.log(squared_error / num)  # the noise without any weights
    high = low + 1.0
    while slope(high) > 0.0:
        high += 1.0
    return float(np.exp(_root(slope, low, high)))


def _root(slope: Callable[[float], float], low: float, high: float) -> float:
    """Root of a decreasing function; bounds that meet it may miss it by rounding."""
    return float(brentq(slope, low - 1e-6, high + 1e-6, xtol=TOLERANCE))
