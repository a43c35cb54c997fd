"""Whether it matters for y that a cell is missing, beyond what is expected in its place."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import BayesianRidge

__all__ = ["informative"]

LEAST_T = 3.0
"""Smallest t of a difference that is no accident: one of 370 columns with cells missing at random exceeds it."""


def informative(x: np.ndarray, missing: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return for each column of `missing` whether y differs where its cells are missing, (M,).

    The residuals of a linear regression of y on the filled inputs are compared between rows with and without the cell.
    If cells are missing at random, their expected values leave no difference, and an input that says which are missing
    can only fit noise: in small tables a normal likelihood loses by it.

    Parameters
    ----------
    x : ndarray (N, D)
        Inputs, filled.
    missing : ndarray of bool (N, M)
    y : ndarray (N, Q)
    weights : ndarray (N,)
    """
    sd = x.std(axis=0)
    z = (x - x.mean(axis=0)) / np.where(sd > 0.0, sd, 1.0)
    found = np.zeros(missing.shape[1], dtype=bool)
    for target in y.T:
        target = target - target.mean()
        largest = np.abs(target).max()
        if largest == 0.0:
            continue
        target = target / largest  # squares of some targets overflow
        residual = target - BayesianRidge().fit(z, target, sample_weight=weights).predict(z)
        for index, gone in enumerate(missing.T):
            there = ~gone
            if min(gone.sum(), there.sum()) < 2:
                continue
            gap = np.average(residual[gone], weights=weights[gone]) - np.average(
                residual[there], weights=weights[there]
            )
            error = np.sqrt(residual[gone].var() / gone.sum() + residual[there].var() / there.sum())
            found[index] |= bool(np.abs(gap) > LEAST_T * error)
    return found
