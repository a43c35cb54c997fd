"""Newton's method inside a bracket, for quantiles of many distributions at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["bracketed_newton"]

STEPS = 50
"""Largest number of steps for a quantile; starting from the cell of a grid, three or four are usual."""


def bracketed_newton(
    level: float,
    low: np.ndarray,
    high: np.ndarray,
    y: np.ndarray,
    cdf: Callable[[np.ndarray], np.ndarray],
    density: Callable[[np.ndarray], np.ndarray],
    tolerance: np.ndarray,
) -> np.ndarray:
    """Find roots (B, Q) by Newton's method from y, with bisection if it leaves the bracket or does not converge.

    An entry whose step was below the tolerance is not changed any more, so no entry depends on the others.

    References
    ----------
    Press, Teukolsky, Vetterling and Flannery (2007), "Numerical Recipes", section 9.4.
    """
    done, last = np.zeros(y.shape, bool), high - low
    for _ in range(STEPS):
        error = cdf(y) - level
        low, high = np.where(error < 0.0, y, low), np.where(error < 0.0, high, y)
        step = y - error / np.maximum(density(y), 1e-300)
        settles = (step >= low) & (step <= high) & (np.abs(step - y) <= 0.5 * last)
        step = np.where(settles, step, 0.5 * (low + high))
        last = np.abs(step - y)
        y, done = np.where(done, y, step), done | (last <= tolerance)
        if done.all():
            break
    return y
