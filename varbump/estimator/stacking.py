r"""Weights of models by stacking of predictive densities: what the pool of them makes of rows that none has seen.

.. math:: \hat w = \arg\max_w \sum_n v_n \log \sum_c w_c p_c(y_n) + a \sum_c \log w_c, \quad \sum_c w_c = 1

The v_n are the weights of the rows. The second term is the log of a Dirichlet prior. It counts as a C rows, of which
each model explains an equal share: few rows do not rule a model out.

References
----------
Yao, Vehtari, Simpson and Gelman (2018), "Using Stacking to Average Bayesian Predictive Distributions", eq. 4.
"""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

__all__ = ["pooled_log_density", "stacking_weights"]

PRIOR_ROWS = 2.0
"""a: rows a model that the prior counts as."""

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


def pooled_log_density(log_density: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Log density (N,) of the pool of models with log densities (C, N)."""
    return logsumexp(log_density, axis=0, b=weights[:, None])
