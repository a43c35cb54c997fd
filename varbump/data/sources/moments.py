"""Means and sums of squares of rows that are seen once, piece by piece."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Moments"]


@dataclass(frozen=True)
class Moments:
    r"""Count, mean and sum of squared deviations of columns, in float64.

    Those of two sets of rows A and B merge to

    .. math:: \mu = \mu_A + \delta \frac{n_B}{n}, \qquad M = M_A + M_B + \delta^2 \frac{n_A n_B}{n},
              \qquad \delta = \mu_B - \mu_A

    without the cancellation of :math:`\sum x^2 - n \mu^2`.

    Parameters
    ----------
    count : float
        Number of rows, or the sum of their weights.
    mean, squares : ndarray
        Of the shape of a row: mean, and weighted sum of squared deviations from it.

    References
    ----------
    Chan, Golub and LeVeque (1983), "Algorithms for Computing the Sample Variance: Analysis and Recommendations",
    equation 2.1.
    """

    count: float
    mean: np.ndarray
    squares: np.ndarray

    @classmethod
    def none(cls, shape: tuple[int, ...]) -> Moments:
        """Moments of no rows of a shape."""
        return cls(0.0, np.zeros(shape), np.zeros(shape))

    @classmethod
    def of(cls, rows: np.ndarray, weights: np.ndarray | None = None) -> Moments:
        """Moments of an array (n, ...) whose rows have weights (n,), or weight 1."""
        values = np.asarray(rows, np.float64)
        share = np.ones(len(values)) if weights is None else np.asarray(weights, np.float64)
        total = float(share.sum())
        if not total:
            return cls.none(values.shape[1:])
        mean = np.tensordot(share, values, 1) / total
        return cls(total, mean, np.tensordot(share, np.square(values - mean), 1))

    def merged(self, other: Moments) -> Moments:
        """Moments of the rows of both."""
        count = self.count + other.count
        if not count:
            return self
        share, delta = other.count / count, other.mean - self.mean
        squares = self.squares + other.squares + np.square(delta) * self.count * share
        return Moments(count, self.mean + delta * share, squares)

    @property
    def sd(self) -> np.ndarray:
        """Standard deviation of each column, that of the population."""
        return np.sqrt(self.squares / self.count)
