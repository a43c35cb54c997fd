"""Mixture over draws of distributions of counts."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from varbump.predict.components import Components
from varbump.predict.tables import TAIL, Table, nodes_of

__all__ = ["CountMixture"]

MOST_WHOLE = 512
"""Largest count of likely numbers that are tabulated one by one; beyond, F is interpolated."""

SLACK = 1e-12
"""Rounding error of a sum of probabilities: F(y) counts as having reached a level this much above it."""


class CountMixture(Components):
    """Predictive distribution of whole numbers; quantiles are the smallest y with F(y) >= level.

    For up to 512 likely numbers, F is the sum of their probabilities, and the CRPS a sum over them. Otherwise F is
    tabulated and interpolated; quantiles are still exact, since they are checked against F itself.
    """

    def affine(self, shift: np.ndarray, unit: np.ndarray) -> CountMixture:
        """Return the distribution itself, which has no other units.

        Raises
        ------
        ValueError
            If shift is not 0 or unit is not 1: whole numbers cannot be expressed in other units.
        """
        made = super().affine(shift, unit)
        if made is not self:
            raise ValueError(
                f"{type(self._likelihoods[0]).__name__} cannot be had in other units of y: they are counts"
            )
        return self

    def cdf(self, y: np.ndarray) -> np.ndarray:
        """F(y) = P(Y <= y), (B, Q)."""
        return super().cdf(np.floor(y))

    def log_components(self, y: np.ndarray) -> np.ndarray:
        """Log probability of each component at y (B, Q), nats, (S, B, Q); minus infinity between whole numbers."""
        return np.where(y == np.floor(y), super().log_components(np.floor(y)), -np.inf)

    def mass(self, y: np.ndarray) -> np.ndarray:
        """P(Y = y), (B, Q)."""
        return np.exp(self.log_components(y)).mean(axis=0)

    def quantile(self, level: float) -> np.ndarray:
        """The smallest whole number with F(y) >= level, (B, Q)."""
        first, values = self._whole
        if values is not None:
            beyond = values[-1] < level - SLACK
            found = first + np.argmax(values >= level - SLACK, axis=0)
            return np.where(beyond, first + len(values) - 1.0, found)
        table = self._table
        low, high, start = table.cell(level)
        # F(low) < level <= F(high), and the table gives the answer to within one or two
        low = np.where(table.values[0] >= level - SLACK, table.v[0] - 1.0, low)
        high = np.maximum(high, low + 1.0)
        probe, step = np.clip(np.ceil(start), low + 1.0, high), np.ones_like(low)
        while (high - low > 1.0).any():
            reached = self.cdf(probe) >= level - SLACK
            high, low = np.where(reached, probe, high), np.where(reached, low, probe)
            beside = np.where(reached, probe - step, probe + step)
            step = 4.0 * step
            middle = np.floor(0.5 * (low + high))
            probe = np.where((beside > low) & (beside < high), beside, np.maximum(middle, low + 1.0))
            probe = np.minimum(probe, high)
        return high

    def crps(self, y: np.ndarray) -> np.ndarray:
        r"""Continuous ranked probability score at y, (B, Q), units of y; smaller is better.

        .. math:: \sum_k (F(k) - 1_{k \ge y})^2

        For many numbers, the sum is replaced by an integral over the interpolated F, with the first correction of
        the midpoint rule: :math:`\int (F(t) - 1_{t \ge y - 1/2})^2 dt - F'(y - 1/2) / 12`.
        """
        first, values = self._whole
        if values is None:
            return self._table.crps(y - 0.5) - self._table.density(y - 0.5) / 12.0
        k = first + np.arange(len(values))[:, None, None]
        inside = np.sum((values - (k >= y)) ** 2, axis=0)
        return inside + np.maximum(y - 1.0 - k[-1], 0.0) + np.maximum(k[0] - y, 0.0)

    @cached_property
    def _range(self) -> tuple[np.ndarray, np.ndarray]:
        """Bounds with a probability of less than 1e-9 beyond either, (B, Q) each."""
        mean, sd, _ = self.moments()
        reach = 6.0 * np.maximum(sd, 0.5)
        ends = []
        for side in (-1.0, 1.0):
            width = reach.copy()
            while True:
                at = np.clip(np.floor(mean + side * width), self._low, self._high)
                values = self.cdf(at)
                is_open = (values > TAIL) & (at > self._low) if side < 0 else (values < 1.0 - TAIL) & (at < self._high)
                if not is_open.any() or (width > 1e15).any():
                    break
                width = np.where(is_open, 1.5 * width, width)
            ends.append(at)
        return ends[0], ends[1]

    @cached_property
    def _whole(self) -> tuple[np.ndarray, np.ndarray | None]:
        """First number (B, Q), and F at it and the following numbers (K, B, Q), or None if there are too many."""
        first, last = self._range
        count = int(np.max(last - first)) + 1
        if count > MOST_WHOLE:
            return first, None
        before = self.cdf(first - 1.0)
        parts = [self.mass(np.minimum(first + k, self._high)) * (first + k <= self._high) for k in range(count)]
        return first, np.minimum(before + np.cumsum(parts, axis=0), 1.0)

    @cached_property
    def _table(self) -> Table:
        mean, sd, _ = self.moments()
        nodes, values = nodes_of(self.cdf, mean, np.maximum(sd, 0.5), self._low, self._high, whole=True)
        slopes = np.stack([0.5 * (self.mass(node) + self.mass(node + 1.0)) for node in nodes])
        return Table(nodes, values, slopes)
