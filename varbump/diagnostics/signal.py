"""Whether features can predict y at all: leave-one-out errors of two simple regressions."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

__all__ = ["predictable_share"]

MAX_ROWS, MAX_FEATURES = 2000, 200
"""Larger data are represented by this many rows and columns, spread evenly."""

NEIGHBOURS = 10

SIGNIFICANT = 4.0
"""Standard errors by which a prediction must beat the mean of y."""


def predictable_share(x: np.ndarray, y: np.ndarray) -> float:
    """Share of the variance of y (N, Q) that least squares or nearest neighbours in x (N, D) predict, left one out.

    It is 0 if neither beats the mean of y by four standard errors, as for y of pure noise.
    """
    rows = np.linspace(0, len(x) - 1, min(len(x), MAX_ROWS)).astype(int)
    x, y = x.reshape(len(x), -1)[rows].astype(float), y.reshape(len(y), -1)[rows].astype(float)
    x = x[:, np.linspace(0, x.shape[1] - 1, min(x.shape[1], MAX_FEATURES)).astype(int)]
    x, y = _standardised(x), _standardised(y)
    num_rows = len(x)
    if num_rows <= NEIGHBOURS or not (x.any() and y.any()):
        return 0.0
    around_mean = (num_rows / (num_rows - 1)) * y  # residuals of the mean of all other rows
    best = 0.0
    for residuals in (_least_squares(x, y), _neighbours(x, y)):
        gains = (np.square(around_mean) - np.square(residuals)).sum(1)
        if gains.mean() * np.sqrt(num_rows) > SIGNIFICANT * gains.std():
            best = max(best, gains.sum() / np.square(around_mean).sum())
    return float(best)


def _standardised(columns: np.ndarray) -> np.ndarray:
    centred = columns - columns.mean(0)
    sd = centred.std(0)
    return centred / np.where(sd > 0, sd, 1.0)


def _least_squares(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Residuals of ridge regression on the other rows, by its hat matrix."""
    features = np.concatenate([np.ones((len(x), 1)), x], 1)
    solve = np.linalg.solve(features.T @ features + np.eye(features.shape[1]), features.T)
    leverage = np.einsum("nd,dn->n", features, solve)
    return (y - features @ (solve @ y)) / (1.0 - leverage)[:, None]


def _neighbours(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Residuals of the mean of the nearest other rows."""
    _, nearest = cKDTree(x).query(x, NEIGHBOURS + 1)
    is_self = nearest == np.arange(len(x))[:, None]
    weights = np.where(is_self, 0.0, 1.0)
    return y - np.einsum("nk,nkq->nq", weights / weights.sum(1, keepdims=True), y[nearest])
