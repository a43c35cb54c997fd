r"""Tables of distribution functions: nodes, values and slopes, with cubics between them.

Quantiles start from a table, and scores are integrals over it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

__all__ = ["Table", "nodes_of"]

GAUSS = np.polynomial.legendre.leggauss(4)
"""Quadrature points and weights on [-1, 1], exact for the square of a cubic."""

TAIL = 1e-9
"""Probability beyond either end of a table."""

WIDTHS = 40
"""Largest number of doublings in the search for the ends."""

NUM_COARSE, NUM_FINE = 32, 96
"""Numbers of nodes where F is evaluated first, and of nodes that are then placed where it rises."""


class Table:
    r"""Distribution function F of v, with y = y(v), by cubic Hermite interpolation, for each entry.

    Parameters
    ----------
    v, values, slopes : ndarray (K, B, Q)
        Nodes in increasing order, and F and dF / dv there.
    y_of_v, v_of_y : callable
        The change of variable, increasing.
    slope_of_y : callable
        dy / dv at v.
    """

    def __init__(
        self,
        v: np.ndarray,
        values: np.ndarray,
        slopes: np.ndarray,
        y_of_v: Callable[[np.ndarray], np.ndarray] = np.asarray,
        v_of_y: Callable[[np.ndarray], np.ndarray] = np.asarray,
        slope_of_y: Callable[[np.ndarray], np.ndarray] = np.ones_like,
    ) -> None:
        self.v, self.values, self.slopes = v, np.maximum.accumulate(values, axis=0), slopes
        self.y_of_v, self.v_of_y, self._slope_of_y = y_of_v, v_of_y, slope_of_y

    def cell(self, level: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ends of the cell in which F crosses a level, and where the cubic does, v (B, Q) each."""
        after = np.clip(np.sum(self.values < level, axis=0), 1, len(self.v) - 1)
        ends = self._ends(after)
        low, high = ends[0], ends[1]
        for _ in range(40):  # bisection of cubics in (B, Q) entries, cheap compared with evaluating the distribution
            middle = 0.5 * (low + high)
            below = _cubic(middle, *ends) < level
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return ends[0], ends[1], 0.5 * (low + high)

    def crps(self, y: np.ndarray) -> np.ndarray:
        r"""Continuous ranked probability score at y (B, Q).

        .. math:: \int (F(t) - 1_{t \ge y})^2 dt = b - y - 2 \int_y^b F dt + \int_a^b F^2 dt

        with the ends a and b of the table, before which F is 0 and after which it is 1.
        """
        first, last = self.y_of_v(self.v[0]), self.y_of_v(self.v[-1])
        inside = np.clip(y, first, last)
        total, squared = self._integrals
        at = self.v_of_y(inside)
        after = np.clip(np.sum(self.v <= at, axis=0), 1, len(self.v) - 1)
        ends = self._ends(after)
        beyond = np.concatenate([np.cumsum(total[::-1], axis=0)[::-1], np.zeros_like(total[:1])])
        rest = np.take_along_axis(beyond, after[None], 0)[0]
        partial = self._integral(np.clip(at, ends[0], ends[1]), ends[1], ends, 1)
        return np.abs(y - inside) + (last - inside) - 2.0 * (rest + partial) + squared.sum(axis=0)

    def density(self, y: np.ndarray) -> np.ndarray:
        """Derivative of the cubics with respect to y at y (B, Q)."""
        at = np.clip(self.v_of_y(y), self.v[0], self.v[-1])
        ends = self._ends(np.clip(np.sum(self.v <= at, axis=0), 1, len(self.v) - 1))
        step = 1e-4 * np.maximum(ends[1] - ends[0], 1e-300)
        return (_cubic(at + step, *ends) - _cubic(at - step, *ends)) / (2.0 * step) / self._slope_of_y(at)

    @cached_property
    def _integrals(self) -> tuple[np.ndarray, np.ndarray]:
        """Integrals of F and of its square over y in each cell, (K - 1, B, Q)."""
        pairs = [(array[:-1], array[1:]) for array in (self.v, self.values, self.slopes)]
        ends = tuple(end for pair in pairs for end in pair)
        return self._integral(ends[0], ends[1], ends, 1), self._integral(ends[0], ends[1], ends, 2)

    def _integral(self, start: np.ndarray, stop: np.ndarray, ends: tuple[np.ndarray, ...], power: int) -> np.ndarray:
        half, middle = 0.5 * (stop - start), 0.5 * (stop + start)
        result = np.zeros_like(half)
        for point, weight in zip(*GAUSS, strict=True):
            v = middle + half * point
            result += weight * half * _cubic(v, *ends) ** power * self._slope_of_y(v)
        return result

    def _ends(self, after: np.ndarray) -> tuple[np.ndarray, ...]:
        """Nodes, values and slopes before and after, (B, Q) each, for the index of the latter."""
        return tuple(
            np.take_along_axis(array, index[None], 0)[0]
            for array in (self.v, self.values, self.slopes)
            for index in (after - 1, after)
        )


def _cubic(
    v: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    below: np.ndarray,
    above: np.ndarray,
    slope_below: np.ndarray,
    slope_above: np.ndarray,
) -> np.ndarray:
    """Evaluate Hermite's cubic in the cell from low to high, clipped to the values at its ends.

    Where a density is infinite, as it may be at an end of its support, the slope is the largest that keeps it monotone.
    """
    width, rise = high - low, above - below
    t = (v - low) / np.maximum(width, 1e-300)
    a, b = (
        np.where(np.isfinite(slope), width * np.where(np.isfinite(slope), slope, 0.0), 3.0 * rise)
        for slope in (slope_below, slope_above)
    )
    return np.clip(below + t * (a + t * (3.0 * rise - 2.0 * a - b + t * (a + b - 2.0 * rise))), below, above)


def nodes_of(
    cdf: Callable[[np.ndarray], np.ndarray],
    centre: np.ndarray,
    width: np.ndarray,
    low: float,
    high: float,
    whole: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Choose nodes v from one tail to the other, dense where F rises, and evaluate F there, (K, B, Q) each.

    Parameters
    ----------
    cdf : callable
        Function that evaluates F at v (B, Q).
    centre, width : ndarray (B, Q)
        Location and width of the distribution, such as mean and sd.
    low, high : float
        Ends of the range of v, at which F may jump.
    whole : bool, default=False
        Whether to round nodes to whole numbers.
    """
    ends = []
    for side, end in ((-1.0, low), (1.0, high)):
        reach = np.full(centre.shape, 6.0)
        for _ in range(WIDTHS):
            at = np.clip(centre + side * reach * width, low, high)
            values = cdf(at)
            open_ = (at != end) & ((values > TAIL) if side < 0 else (values < 1.0 - TAIL))
            if not open_.any():
                break
            reach = np.where(open_, 2.0 * reach, reach)
        ends.append(at)

    def placed(at: np.ndarray) -> np.ndarray:
        return np.clip(np.floor(at) if whole else at, *ends)

    u = [np.arcsinh((end - centre) / width) for end in ends]
    shares = np.linspace(0.0, 1.0, NUM_COARSE)
    coarse = np.stack([placed(centre + width * np.sinh(u[0] + share * (u[1] - u[0]))) for share in shares])
    coarse[0], coarse[-1] = ends
    values = np.maximum.accumulate(np.stack([cdf(node) for node in coarse]), axis=0)
    logit = [np.log(p / (1.0 - p)) for p in (np.clip(values[i], TAIL, 1.0 - TAIL) for i in (0, -1))]
    fine = []
    for share in (np.arange(NUM_FINE) + 0.5) / NUM_FINE:
        level = 1.0 / (1.0 + np.exp(-(logit[0] + share * (logit[1] - logit[0]))))
        after = np.clip(np.sum(values < level, axis=0), 1, NUM_COARSE - 1)[None]
        (a, b), (below, above) = (
            [np.take_along_axis(array, index, 0)[0] for index in (after - 1, after)] for array in (coarse, values)
        )
        part = np.clip((level - below) / np.maximum(above - below, 1e-300), 0.0, 1.0)
        fine.append(placed(a + part * (b - a)))
    nodes = np.concatenate([coarse, fine])
    found = np.concatenate([values, [cdf(node) for node in fine]])
    order = np.argsort(nodes, axis=0, kind="stable")
    return np.take_along_axis(nodes, order, 0), np.take_along_axis(found, order, 0)
