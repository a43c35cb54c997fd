r"""Missing numbers: their expectation given the other cells of the row.

The columns are modelled as jointly normal. Mean and covariance are estimated by expectation maximisation from all
weighted rows, including those with missing cells, which is consistent if cells are missing at random. The covariance is
shrunk towards its diagonal, as by D further rows without correlation.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["JointNormal", "fit_joint_normal", "joined_columns"]

MOST_COLUMNS = 128
"""Largest number of columns whose correlations are estimated."""

ITERATIONS = 50

CONVERGED = 1e-4
"""Largest change of a mean or covariance, of standardised columns, at which the iteration ends."""

BLOCK = 2**22
"""Numbers in a stack of matrices."""

MOST_WORK = 2e9
"""Largest N D^3, the cost of an iteration if all rows differ in what is missing; of more rows, every k-th is used."""


class JointNormal(NamedTuple):
    """Joint distribution of the columns.

    Attributes
    ----------
    mean, scale, low, high : ndarray (D,)
        Mean, sd and range of the observed cells, units of the columns; a constant column has scale 1.
    shift : ndarray (D,)
        Mean of the standardised columns: that of observed cells is not that of all cells.
    joined : ndarray of int (J,)
        The columns whose correlations are known, see `joined_columns`; other missing numbers become a mean.
    covariance : ndarray (J, J) or None
        Of these columns, standardised; None if there are none.
    """

    mean: np.ndarray
    scale: np.ndarray
    low: np.ndarray
    high: np.ndarray
    shift: np.ndarray
    joined: np.ndarray
    covariance: np.ndarray | None

    def fill(self, x: np.ndarray) -> np.ndarray:
        """Return x (N, D) with each nan replaced by its expectation given the row, within the range of its column.

        The result for a row does not depend on the other rows.
        """
        missing = np.isnan(x)
        if not missing.any():
            return x
        z = (x - self.mean) / self.scale
        expected = np.broadcast_to(self.shift, x.shape).copy()
        if self.covariance is not None:
            joined, shift = self.joined, self.shift[self.joined]
            rows = np.flatnonzero(missing[:, joined].any(axis=1))
            for of_pattern, gain, _ in _patterns(missing[np.ix_(rows, joined)], self.covariance):
                at = np.ix_(rows[of_pattern], joined)
                expected[at] = shift + _product(gain, np.nan_to_num(z[at] - shift))
        filled = np.clip(expected * self.scale + self.mean, self.low, self.high)
        return np.where(missing, filled, x)


def joined_columns(is_numeric: np.ndarray) -> np.ndarray:
    """Return the columns whose correlations are estimated (J,): all, or only the numeric ones (D,), or none."""
    for chosen in (np.ones(len(is_numeric), dtype=bool), is_numeric):
        if chosen.sum() <= MOST_COLUMNS:
            return np.flatnonzero(chosen)
    return np.empty(0, dtype=int)


def fit_joint_normal(x: np.ndarray, weights: np.ndarray, is_numeric: np.ndarray | None = None) -> JointNormal:
    """Estimate the joint distribution of columns x (N, D), nan where missing, with weights (N,)."""
    observed = ~np.isnan(x)
    total = np.maximum(weights @ observed, np.finfo(float).tiny)
    filled = np.where(observed, x, 0.0)
    mean = weights @ filled / total
    scale = np.sqrt(weights @ (np.where(observed, x - mean, 0.0) ** 2) / total)
    scale = np.where(scale > 0.0, scale, 1.0)
    low, high = np.where(observed, x, np.inf).min(axis=0), np.where(observed, x, -np.inf).max(axis=0)
    joined = joined_columns(np.ones(x.shape[1], dtype=bool) if is_numeric is None else is_numeric)
    shift = np.zeros(x.shape[1])
    if not len(joined):
        return JointNormal(mean, scale, low, high, shift, joined, None)
    step = 1 if observed.all() else int(np.ceil(len(x) * len(joined) ** 3 / MOST_WORK))
    z, observed = ((x - mean) / scale)[::step, joined], observed[::step, joined]
    share = weights[::step] / weights[::step].sum()
    shift[joined], covariance = _maximised(np.where(observed, z, 0.0), ~observed, share)
    return JointNormal(mean, scale, low, high, shift, joined, covariance)


def _maximised(z: np.ndarray, missing: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Expectation maximisation for standardised columns z (N, D), whose rows have shares that sum to 1."""
    num_rows, num_columns = z.shape
    shift, covariance = np.zeros(num_columns), np.eye(num_columns)
    shrunk = num_columns / (num_rows + num_columns)
    incomplete = np.flatnonzero(missing.any(axis=1))
    for _ in range(ITERATIONS if len(incomplete) else 1):
        filled, spread = z.copy(), np.zeros_like(covariance)
        for of_pattern, gain, rest in _patterns(missing[incomplete], covariance):
            at = incomplete[of_pattern]
            expected = shift + _product(gain, np.where(missing[at], 0.0, z[at] - shift))
            filled[at] = np.where(missing[at], expected, z[at])
            spread += np.einsum("n,nij->ij", share[at], rest)
        before = shift, covariance
        shift = share @ filled
        centred = filled - shift
        raw = (centred * share[:, None]).T @ centred + spread
        covariance = (1.0 - shrunk) * raw + shrunk * np.eye(num_columns)
        if max(np.abs(shift - before[0]).max(), np.abs(covariance - before[1]).max()) < CONVERGED:
            break
    return shift, covariance


def _patterns(missing: np.ndarray, covariance: np.ndarray):  # type: ignore[no-untyped-def]
    """Yield rows (n,) with their gains (n, D, D) and remaining covariances (n, D, D), a block of rows at a time.

    The gain maps the observed cells, 0 where missing, to the expectations of all cells.
    """
    if not len(missing):
        return
    patterns, which = np.unique(missing, axis=0, return_inverse=True)
    which = which.ravel()
    size = max(1, BLOCK // covariance.size)
    for start in range(0, len(patterns), size):
        seen = ~patterns[start : start + size]
        both = seen[:, :, None] & seen[:, None, :]
        inner = np.where(both, covariance, 0.0) + np.eye(len(covariance)) * ~seen[:, None, :]
        towards = np.where(seen[:, :, None], covariance, 0.0)
        gain = np.linalg.solve(inner, towards).transpose(0, 2, 1)
        hidden = ~seen[:, :, None] & ~seen[:, None, :]
        rest = np.where(hidden, covariance - gain @ towards, 0.0)
        order = np.argsort(which, kind="stable")
        inside = order[(which[order] >= start) & (which[order] < start + size)]
        for rows in np.array_split(inside, max(1, -(-len(inside) // size))):
            yield rows, gain[which[rows] - start], rest[which[rows] - start]


def _product(gain: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Matrices (n, D, D) times vectors (n, D), in a sum whose order does not depend on n."""
    return (gain * z[:, None, :]).sum(axis=-1)
