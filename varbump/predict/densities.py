"""Mixture over draws of any continuous distribution."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from varbump.predict.components import Components
from varbump.predict.newton import bracketed_newton
from varbump.predict.tables import Table, nodes_of

__all__ = ["DensityMixture"]

TOLERANCE = 1e-6
"""Last step of Newton's method, in sds of the narrowest component; for positive y, relative to y."""


class DensityMixture(Components):
    """Predictive distribution of a continuous y, which may have atoms at the ends of its support.

    The distribution function is tabulated at 128 nodes. Quantiles are found by Newton's method in the cells of the
    table, to 1e-6 sd or better, and the CRPS by integration over it, to about 1e-5 of the result. Positive y are
    tabulated by their logarithm.
    """

    def cdf(self, y: np.ndarray) -> np.ndarray:
        """F(y) = P(Y <= y), (B, Q)."""
        return super().cdf(self._snapped(y))

    def log_components(self, y: np.ndarray) -> np.ndarray:
        """Log density of each component at y (B, Q), nats, (S, B, Q); at an atom, log probability."""
        return super().log_components(self._snapped(y))

    def mass(self, y: np.ndarray) -> np.ndarray:
        """P(Y = y), (B, Q): zero except at atoms, where `log_prob` is the log of a probability."""
        y = self._snapped(y)
        is_atom = self._is_atom(y)
        return np.where(is_atom, np.exp(self.log_components(y)).mean(axis=0) if is_atom.any() else 0.0, 0.0)

    def quantile(self, level: float) -> np.ndarray:
        """The smallest y with F(y) >= level, (B, Q)."""
        table = self._table
        low, high, start = table.cell(level)
        at_low, at_high = level <= table.values[0], level >= table.values[-1]
        tolerance = TOLERANCE * (np.ones_like(start) if self._is_positive else self._narrowest)
        tolerance = np.where(at_low | at_high, np.inf, tolerance)  # already known: no step is needed
        found = bracketed_newton(level, low, high, start, self._cdf_of_v, self._slope_of_v, tolerance)
        found = np.where(at_low, table.v[0], np.where(at_high, table.v[-1], found))
        return table.y_of_v(found)

    def crps(self, y: np.ndarray) -> np.ndarray:
        """Continuous ranked probability score at y, (B, Q), units of y, by integration; smaller is better."""
        return self._table.crps(y)

    @property
    def _is_positive(self) -> bool:
        return self._low == 0.0 and self._high == np.inf and not self._is_atom(np.zeros(1)).any()

    @property
    def _narrowest(self) -> np.ndarray:
        return np.maximum(self.scale.min(axis=0), 1e-12 * self.moments()[1])

    def _snapped(self, y: np.ndarray) -> np.ndarray:
        """Replace numbers that differ from an atom only by rounding in float32 by that atom."""
        for atom in {atom for like in self._likelihoods for atom in like.atoms}:
            y = np.where(np.abs(y - atom) <= 1e-6 * abs(atom), atom, y)
        return y

    def _is_atom(self, y: np.ndarray) -> np.ndarray:
        atoms: list[Any] = [atom for like in self._likelihoods for atom in like.atoms]
        return np.isin(y, atoms) if atoms else np.zeros(np.shape(y), bool)

    def _cdf_of_v(self, v: np.ndarray) -> np.ndarray:
        if self._is_positive:
            return self.cdf(np.exp(v))
        values = self.cdf(v)
        at_top = v >= self._high  # before the jump: the probability at the end itself is not in the table
        return np.where(at_top, values - self.mass(v), values) if at_top.any() else values

    def _slope_of_v(self, v: np.ndarray) -> np.ndarray:
        y = np.exp(v) if self._is_positive else v
        if self._is_atom(y).any():  # the density beside an atom, not its probability
            step = 1e-6 * self.moments()[1]
            y = np.clip(y, self._low + step, self._high - step)
        return np.exp(self.log_components(y)).mean(axis=0) * (y if self._is_positive else 1.0)

    @cached_property
    def _table(self) -> Table:
        mean, sd, _ = self.moments()
        sd = np.maximum(sd, 1e-12 * np.abs(mean) + 1e-300)
        if self._is_positive:
            spread = np.log1p((sd / mean) ** 2)
            centre, width, ends = np.log(mean) - 0.5 * spread, np.sqrt(spread), (-700.0, 700.0)
            functions: tuple[Any, ...] = (np.exp, np.log, np.exp)
        else:
            centre, width, ends, functions = mean, sd, (self._low, self._high), ()
        nodes, values = nodes_of(self._cdf_of_v, centre, width, *ends)
        return Table(nodes, values, np.stack([self._slope_of_v(node) for node in nodes]), *functions)
