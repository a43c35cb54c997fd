"""Predictive distribution of rows with recalibrated levels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.special import logsumexp, ndtr

from varbump.predict.affine import AffineMixture
from varbump.predict.by_levels import LEVELS, T, moments_of
from varbump.scores.recalibration import QuantileRecalibration

__all__ = ["RecalibratedMixture"]

FINE = np.linspace(T[0], T[-1], 2001)
"""Normal quantiles of the levels over which the CRPS is summed: their spacing squared is its relative error, 5e-5."""

COARSE = FINE[::5]
"""The same for counts, whose quantiles cannot be interpolated."""


class RecalibratedMixture:
    r"""Distribution :math:`R_q \circ F_q` for each target q of a mixture, with the interface of `Mixture`.

    Targets keep their dependence: each of them is transformed by itself.

    Parameters
    ----------
    inner : Mixture or other mixture
    maps : sequence of QuantileRecalibration
        R, for each target.
    """

    def __init__(self, inner: Any, maps: Sequence[QuantileRecalibration]) -> None:
        self._inner, self._maps, self.is_smooth = inner, maps, inner.is_smooth

    def affine(self, shift: np.ndarray, unit: np.ndarray) -> AffineMixture:
        """The distribution of ``shift + unit * y``, both (Q,)."""
        return AffineMixture(self, shift, unit)

    def first(self, num: int) -> RecalibratedMixture:
        """The mixture for the first `num` rows."""
        return RecalibratedMixture(self._inner.first(num), self._maps)

    def moments(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean, total and epistemic sd, (B, Q) each; the share of the epistemic variance is that of the model."""
        mean, sd = moments_of(self.ladder(LEVELS))
        _, total, epistemic = self._inner.moments()
        return mean, sd, sd * (epistemic / total)

    def cdf(self, y: np.ndarray) -> np.ndarray:
        """F(y), (B, Q)."""
        return self._each("apply", self._inner.cdf(y))

    def mass(self, y: np.ndarray) -> np.ndarray:
        """P(Y = y), (B, Q)."""
        if self.is_smooth:
            return np.zeros(np.shape(y))
        upper, mass = self._inner.cdf(y), self._inner.mass(y)
        return self._each("apply", upper) - self._each("apply", np.clip(upper - mass, 0.0, 1.0))

    def pit(self, y: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """Probability integral transform, (B, Q), randomised where the model's is."""
        return self._each("apply", self._inner.pit(y, uniform))

    def log_components(self, y: np.ndarray) -> np.ndarray:
        """Log density of each component at y (B, Q), nats, (S, B, Q)."""
        return self._inner.log_components(y) + np.log(self._factor(y))

    def log_density(self, y: np.ndarray) -> np.ndarray:
        """Log density at y (B, Q), nats, jointly over targets, (B,)."""
        values = self.log_components(y).sum(axis=-1)
        return logsumexp(values, axis=0) - np.log(len(values))

    def quantile(self, level: float) -> np.ndarray:
        """The y at which the distribution function is `level`, (B, Q)."""
        own = [(q, float(one.level(level))) for q, one in enumerate(self._maps)]
        return np.stack([self._inner.quantile(at)[..., q] for q, at in own], axis=-1)

    def ladder(self, levels: Sequence[float] | np.ndarray) -> np.ndarray:
        """Quantiles at many levels, (L, B, Q)."""
        # each target has its own levels: compute all of them, then select
        own = np.concatenate([one.level(levels) for one in self._maps])
        values = self._inner.ladder(own)
        values = values.reshape(len(self._maps), -1, *values.shape[1:])
        return np.stack([values[q, :, :, q] for q in range(len(self._maps))], axis=-1)

    def crps(self, y: np.ndarray) -> np.ndarray:
        r"""Continuous ranked probability score at y, (B, Q), units of y; smaller is better.

        .. math:: 2 \int_0^1 (1_{y < F^{-1}(\tau)} - \tau) (F^{-1}(\tau) - y) d\tau

        References
        ----------
        Laio and Tamea (2007), "Verification tools for probabilistic forecasts of continuous hydrological variables".
        """
        levels, quantiles = self._fine
        result = np.empty(np.shape(y))
        edges = np.concatenate([[0.0], 0.5 * (levels[1:] + levels[:-1]), [1.0]])
        for q, one in enumerate(self._maps):
            ends = one.apply(edges)
            middle, weight = 0.5 * (ends[1:] + ends[:-1])[:, None], np.diff(ends)[:, None]
            above = quantiles[..., q] - y[:, q]
            result[:, q] = 2.0 * np.sum(weight * ((above > 0.0) - middle) * above, axis=0)
        return result

    def sample(self, generator: np.random.Generator) -> np.ndarray:
        """One draw of each component, (S, B, Q)."""
        drawn = self._inner.sample(generator)
        if not self.is_smooth:
            raise ValueError("counts and y with limits cannot be drawn from a recalibrated model; take its quantiles")
        t = np.clip(np.stack([self._inner.cdf(one) for one in drawn]), *LEVELS[[0, -1]])
        spline = self._of_levels
        result = np.empty_like(drawn)
        for q, one in enumerate(self._maps):
            wanted = one.level(t[..., q])
            for row in range(drawn.shape[1]):
                result[:, row, q] = np.interp(wanted[:, row], ndtr(FINE), spline[:, row, q])
        return result

    def _each(self, method: str, values: np.ndarray) -> np.ndarray:
        return np.stack([getattr(one, method)(values[..., q]) for q, one in enumerate(self._maps)], axis=-1)

    def _factor(self, y: np.ndarray) -> np.ndarray:
        """Ratio of the recalibrated density to that of the model, or of the probabilities of single values."""
        slope = self._each("slope", self._inner.cdf(y))
        if self.is_smooth:
            return slope
        mass = self._inner.mass(y)
        return np.where(mass > 0.0, self.mass(y) / np.maximum(mass, 1e-300), slope)

    @cached_property
    def _of_levels(self) -> np.ndarray:
        """Quantiles of the model at the levels of FINE, interpolated, (K, B, Q)."""
        return CubicSpline(T, self._inner.ladder(LEVELS), axis=0)(FINE)

    @cached_property
    def _fine(self) -> tuple[np.ndarray, np.ndarray]:
        """Levels and quantiles of the model, (K,) and (K, B, Q)."""
        if self.is_smooth:
            return ndtr(FINE), self._of_levels
        return ndtr(COARSE), self._inner.ladder(ndtr(COARSE))
