r"""Weights of models by stacking of predictive densities: what the pool of them makes of rows that none has seen.

.. math:: \hat w = \arg\max_w \sum_n v_n \log \sum_c w_c p_c(y_n) + a \sum_c \log w_c, \quad \sum_c w_c = 1

The v_n are the weights of the rows. The second term is the log of a Dirichlet prior. It counts as a C rows, of which
each model explains an equal share: few rows do not rule a model out.

A pool of models that are calibrated one by one is too wide: each has learned its own error as noise, and in their mean
the errors cancel. Its noise is therefore multiplied by a factor, which the same rows decide:

.. math:: \hat b = \arg\max_b \sum_n v_n \log \sum_c w_c p_c(y_n; b) - r \log^2 b

where :math:`p_c(y; b)` has b times the noise of :math:`p_c`, and unchanged functions f: far from the data bands open up
as before. The second term is the log of a normal prior. It counts as r rows that speak for b = 1.

The shape of the noise is decided in the same way: normal, or that of Student's t with the same sd, which has to improve
the sum by a nat to be preferred, as a parameter more (Akaike 1974).

These rows are predicted by one member of each model, and new ones by all M. With V_c the variance of the mean of f
between members of a model, the mean of all is closer to y by :math:`(1 - 1/M) \sum_c w_c^2 V_c`, squared, and the pool
has that much more variance of f. So it is calibrated with

.. math:: b_M^2 = \hat b^2 - 2 (1 - 1/M) \sum_c w_c^2 V_c \big/ \sum_c w_c \sigma_c^2

where :math:`\sigma_c^2` is the variance of the noise, and the ratio the median over rows.

References
----------
Yao, Vehtari, Simpson and Gelman (2018), "Using Stacking to Average Bayesian Predictive Distributions", eq. 4.
Gneiting and Ranjan (2013), "Combining Predictive Distributions", theorem 3.1 and section 3.2 (spread-adjusted pool).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

__all__ = [
    "FACTORS",
    "TAILS",
    "factor_for_all_members",
    "noise_factor",
    "noise_tail",
    "pooled_log_density",
    "stacking_weights",
]

PRIOR_ROWS = 2.0
"""a: rows a model that the prior counts as."""

FACTOR_PRIOR_ROWS = 10.0
"""r: rows that the prior of the factor counts as, each with the information of one observation of normal noise."""

FACTORS = (0.25, 2.0)
"""Bounds of the factor."""

TAILS = (0.0, 0.03, 0.06, 0.1, 0.15, 0.2, 0.25, 0.3)
"""Inverse degrees of freedom of the noise among which is chosen; 0 is normal."""

MAX_ITERATIONS, TOLERANCE = 5_000, 1e-9
"""Iteration ends when no weight changes by more than this."""


def stacking_weights(
    log_density: np.ndarray, row_weights: np.ndarray | None = None, prior_rows: float = PRIOR_ROWS
) -> np.ndarray:
    r"""Compute the weights (C,) of models by expectation maximisation, which increases a concave function.

    Parameters
    ----------
    log_density : ndarray (C, N)
        Log density of each model at y of rows that it was not trained with.
    row_weights : ndarray (N,), optional
    prior_rows : float, default=2.0
        a.

    Notes
    -----
    With :math:`r_{cn} = w_c p_c(y_n) / \sum_j w_j p_j(y_n)`, the update is :math:`w_c \propto \sum_n v_n r_{cn} + a`.
    """
    num_models, num_rows = log_density.shape
    v = np.ones(num_rows) if row_weights is None else np.asarray(row_weights, float)
    best = np.max(log_density, axis=0)
    density = np.exp(log_density - np.where(np.isfinite(best), best, 0.0))  # factors of a row cancel
    weights = np.full(num_models, 1.0 / num_models)
    for _ in range(MAX_ITERATIONS):
        shares = weights[:, None] * density
        total = shares.sum(axis=0)
        shares = np.divide(shares, total, where=total > 0.0, out=np.zeros_like(shares))
        updated = shares @ v + prior_rows
        updated /= updated.sum()
        if np.max(np.abs(updated - weights)) < TOLERANCE:
            return updated
        weights = updated
    return weights


def noise_factor(log_density_at: Callable[[float], np.ndarray], weights: np.ndarray, row_weights: np.ndarray) -> float:
    """Compute the factor b of the noise of a pool.

    Parameters
    ----------
    log_density_at : callable
        From b to the log density (C, N) of each model at y of rows that it was not trained with.
    weights, row_weights : ndarray (C,), (N,)
    """
    if not len(row_weights):
        return 1.0

    def loss(log_factor: float) -> float:
        pooled = pooled_log_density(log_density_at(float(np.exp(log_factor))), weights)
        likely = np.isfinite(pooled)  # a row that no model thinks possible says nothing
        return float(FACTOR_PRIOR_ROWS * log_factor**2 - row_weights[likely] @ pooled[likely])

    found = minimize_scalar(loss, bounds=np.log(FACTORS), method="bounded", options={"xatol": 1e-3})
    return float(np.exp(found.x))


def noise_tail(log_density_at: Callable[[float], np.ndarray], weights: np.ndarray, row_weights: np.ndarray) -> float:
    """Choose the inverse degrees of freedom of the noise of a pool, one of `TAILS`.

    Parameters
    ----------
    log_density_at : callable
        From the inverse degrees of freedom to the log density (C, N) of each model at y of rows that it was not trained
        with.
    weights, row_weights : ndarray (C,), (N,)
    """
    if not len(row_weights):
        return 0.0
    pooled = np.array([pooled_log_density(log_density_at(tail), weights) for tail in TAILS])
    likely = np.isfinite(pooled).all(axis=0)
    return TAILS[np.argmax(pooled[:, likely] @ row_weights[likely] - (np.array(TAILS) > 0.0))]


def factor_for_all_members(
    factor: float,
    weights: np.ndarray,
    between: np.ndarray,
    noise: np.ndarray,
    row_weights: np.ndarray,
    num_members: int,
) -> float:
    r"""Compute :math:`b_M`, see above.

    Parameters
    ----------
    factor : float
        b for one member of each model.
    weights : ndarray (C,)
    between, noise : ndarray (C, N)
        Variance of the mean of f between members, and of the noise, at each row.
    row_weights : ndarray (N,)
    num_members : int
        M.
    """
    if num_members == 1 or not len(row_weights):
        return factor
    ratio = (weights**2 @ between) / (weights @ noise)
    order = np.argsort(ratio)
    median = ratio[order][np.searchsorted(np.cumsum(row_weights[order]), 0.5 * row_weights.sum())]
    return float(np.sqrt(max(factor**2 - 2.0 * (1.0 - 1.0 / num_members) * median, FACTORS[0] ** 2)))


def pooled_log_density(log_density: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Log density (N,) of the pool of models with log densities (C, N)."""
    return logsumexp(log_density, axis=0, b=weights[:, None])
