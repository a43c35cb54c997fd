"""Mixture in other units of y."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["AffineMixture"]


class AffineMixture:
    """Distribution of ``shift + unit * z`` for a mixture of z, with the interface of `Mixture`.

    Parameters
    ----------
    inner : DensityMixture or other mixture
        Distribution of z.
    shift, unit : ndarray (Q,)
        Shift and unit; units are positive.
    """

    def __init__(self, inner: Any, shift: np.ndarray, unit: np.ndarray) -> None:
        self._inner, self._shift, self._unit = inner, np.asarray(shift), np.asarray(unit)

    @property
    def is_smooth(self) -> bool:
        """Whether no single value of y has a positive probability."""
        return self._inner.is_smooth

    def affine(self, shift: np.ndarray, unit: np.ndarray) -> AffineMixture:
        """The distribution of ``shift + unit * y``, both (Q,)."""
        return AffineMixture(self._inner, shift + unit * self._shift, unit * self._unit)

    def first(self, num: int) -> AffineMixture:
        """The mixture for the first `num` rows."""
        return AffineMixture(self._inner.first(num), self._shift, self._unit)

    def moments(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean, total and epistemic sd, (B, Q) each."""
        mean, total, epistemic = self._inner.moments()
        return self._shift + self._unit * mean, self._unit * total, self._unit * epistemic

    def cdf(self, y: np.ndarray) -> np.ndarray:
        """F(y), (B, Q)."""
        return self._inner.cdf(self._z(y))

    def mass(self, y: np.ndarray) -> np.ndarray:
        """P(Y = y), (B, Q)."""
        return self._inner.mass(self._z(y))

    def pit(self, y: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """Probability integral transform, (B, Q), randomised at atoms."""
        return self._inner.pit(self._z(y), uniform)

    def log_components(self, y: np.ndarray) -> np.ndarray:
        """Log density of each component at y (B, Q), nats, (S, B, Q)."""
        return self._inner.log_components(self._z(y)) - np.log(self._unit)

    def log_density(self, y: np.ndarray) -> np.ndarray:
        """Log density at y (B, Q), nats, jointly over targets, (B,)."""
        return self._inner.log_density(self._z(y)) - np.sum(np.log(self._unit))

    def quantile(self, level: float) -> np.ndarray:
        """The y at which the distribution function is `level`, (B, Q)."""
        return self._shift + self._unit * self._inner.quantile(level)

    def ladder(self, levels: Sequence[float] | np.ndarray) -> np.ndarray:
        """Quantiles at many levels, (L, B, Q)."""
        return self._shift + self._unit * self._inner.ladder(levels)

    def crps(self, y: np.ndarray) -> np.ndarray:
        """Continuous ranked probability score at y, (B, Q), units of y; smaller is better."""
        return self._unit * self._inner.crps(self._z(y))

    def sample(self, generator: np.random.Generator) -> np.ndarray:
        """One draw of each component, (S, B, Q)."""
        return self._shift + self._unit * self._inner.sample(generator)

    def _z(self, y: np.ndarray) -> np.ndarray:
        return (y - self._shift) / self._unit
