"""Predictive distribution of y where a model was fitted to an increasing transform of it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import logsumexp

from varbump.predict.affine import AffineMixture
from varbump.predict.by_levels import LEVELS, T, moments_of
from varbump.predict.tables import Table

__all__ = ["MonotoneMixture", "TargetMap"]

PROBES = np.array([-7.0, -2.5, -1.0, 0.0, 1.0, 3.0, 11.0])
"""Values of z at which a transform is compared with a line."""

CORE = np.abs(T) <= 4.76
"""Nodes among which the transform must increase: 1 in 10^6 lies beyond either end."""

MOST_BENT = 0.05
"""Largest relative difference of slopes on both sides, over a step; a smooth transform has about 1e-3."""

STEP = 1e-3
"""Step of numerical derivatives, in sds: a fourth-order formula is then exact to about 1e-11."""


class TargetMap:
    """An increasing map between y and the z that a regressor was fitted to, for each target by itself.

    Parameters
    ----------
    transformer : object
        Fitted transformer of scikit-learn: z is what it returns for y.
    """

    def __init__(self, transformer: Any) -> None:
        self._transformer = transformer

    def __call__(self, mixture: Any, rows: slice) -> Any:
        """The distribution of y for that of z."""
        affine = self._affine(mixture.moments()[0].shape[-1])
        return MonotoneMixture(mixture, self, rows.start) if affine is None else mixture.affine(*affine)

    def to_z(self, y: np.ndarray) -> np.ndarray:
        """Transform y (..., Q)."""
        return _of_rows(self._transformer.transform, y)

    def to_y(self, z: np.ndarray) -> np.ndarray:
        """Undo the transform of z (..., Q)."""
        return _of_rows(self._transformer.inverse_transform, z)

    def _affine(self, num_targets: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Shift and unit (Q,) if ``y = shift + unit * z``, otherwise None.

        Raises
        ------
        ValueError
            If y decreases in z.
        """
        z = np.repeat(PROBES[:, None], num_targets, axis=1)
        y = self.to_y(z)
        zero, one = y[PROBES == 0.0][0], y[PROBES == 1.0][0]
        unit = one - zero
        if not np.isfinite(y).all() or not np.allclose(y, zero + unit * z, rtol=1e-9, atol=1e-12 * np.abs(unit).max()):
            return None
        if not (unit > 0.0).all():
            raise ValueError("the transform of y must increase with y; multiply it by -1")
        return zero, unit


class MonotoneMixture:
    r"""Distribution of :math:`y = g(z)` for a mixture of z and an increasing g, with the interface of `Mixture`.

    .. math:: F_y(y) = F_z(g^{-1}(y)), \quad F_y^{-1}(\tau) = g(F_z^{-1}(\tau)), \quad
              p_y(y) = p_z(g^{-1}(y)) / g'(g^{-1}(y))

    Moments and the CRPS follow from quantiles at 113 levels, to about 1e-5 of the result, and g' from differences.

    Parameters
    ----------
    inner : Mixture or DensityMixture
        Distribution of z.
    target_map : TargetMap
    first_row : int
        Index of the first row, for messages.

    Raises
    ------
    ValueError
        If z has single values of positive probability, as counts have, or g does not increase over it.
    """

    is_smooth = True

    def __init__(self, inner: Any, target_map: TargetMap, first_row: int) -> None:
        if not inner.is_smooth:
            raise ValueError(
                "a likelihood for counts or for y with limits needs y as it is: fit the regressor without the "
                "transform of y"
            )
        self._inner, self._map, self._first_row = inner, target_map, first_row

    def affine(self, shift: np.ndarray, unit: np.ndarray) -> AffineMixture:
        """The distribution of ``shift + unit * y``, both (Q,)."""
        return AffineMixture(self, shift, unit)

    def first(self, num: int) -> MonotoneMixture:
        """The mixture for the first `num` rows."""
        return MonotoneMixture(self._inner.first(num), self._map, self._first_row)

    def moments(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean, total and epistemic sd, (B, Q) each; infinite where the tails are too heavy.

        The share of the epistemic variance is that of z.
        """
        _, y = self._nodes
        mean, sd = moments_of(y)
        _, total, epistemic = self._inner.moments()
        return mean, sd, sd * (epistemic / total)

    def cdf(self, y: np.ndarray) -> np.ndarray:
        """F(y), (B, Q)."""
        z, inside = self._z(y)
        return np.where(inside, self._inner.cdf(z), y > self._nodes[1][len(T) // 2])

    def pit(self, y: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """F(y): single values of y have probability 0, so `uniform` is ignored."""
        del uniform
        return self.cdf(y)

    def log_components(self, y: np.ndarray) -> np.ndarray:
        """Log density of each component at y (B, Q), nats, (S, B, Q)."""
        z, inside = self._z(y)
        return np.where(inside, self._inner.log_components(z) - np.log(self._slope(z, inside)), -np.inf)

    def log_density(self, y: np.ndarray) -> np.ndarray:
        """Log density at y (B, Q), nats, jointly over targets, (B,)."""
        values = self.log_components(y).sum(axis=-1)
        return logsumexp(values, axis=0) - np.log(len(values))

    def quantile(self, level: float) -> np.ndarray:
        """The y at which the distribution function is `level`, (B, Q)."""
        self._nodes  # noqa: B018 - checks that g increases
        return self._map.to_y(self._inner.quantile(level))

    def ladder(self, levels: Sequence[float] | np.ndarray) -> np.ndarray:
        """Quantiles at many levels, (L, B, Q)."""
        self._nodes  # noqa: B018 - checks that g increases
        return self._map.to_y(self._inner.ladder(levels))

    def crps(self, y: np.ndarray) -> np.ndarray:
        """Continuous ranked probability score at y, (B, Q), units of y, by integration; smaller is better."""
        return self._table.crps(y)

    def sample(self, generator: np.random.Generator) -> np.ndarray:
        """One draw of each component, (S, B, Q)."""
        return self._map.to_y(self._inner.sample(generator))

    @cached_property
    def _nodes(self) -> tuple[np.ndarray, np.ndarray]:
        """Quantiles of z and of y at the levels of T, (K, B, Q) each."""
        z = self._inner.ladder(LEVELS)
        y = self._map.to_y(z)
        core = y[CORE]
        bad = ~(np.isfinite(core).all(axis=0) & (np.diff(core, axis=0) >= 0.0).all(axis=0))
        if bad.any():
            row, target = (int(i) for i in np.argwhere(bad)[0])
            ends = z[CORE][[0, -1], row, target]
            raise ValueError(
                f"the inverse of the transform of y must increase wherever the model expects it, but between "
                f"{ends[0]:.4g} and {ends[1]:.4g}, for row {self._first_row + row} of x, it does not; take one that "
                f"increases everywhere, as log and exp do, or fit y as it is"
            )
        middle = len(T) // 2
        with np.errstate(invalid="ignore"):  # beyond the core, where g may end: flat
            up = np.fmax.accumulate(y[middle:], axis=0)
            down = np.fmin.accumulate(y[middle::-1], axis=0)[::-1]
        return z, np.concatenate([down, up[1:]])

    @cached_property
    def _table(self) -> Table:
        z, y = self._nodes
        density = np.stack([np.exp(self._inner.log_components(node)).mean(axis=0) for node in z])
        rise = np.gradient(y, axis=0) / np.maximum(np.gradient(z, axis=0), 1e-300)
        values = np.broadcast_to(LEVELS[:, None, None], y.shape)
        with np.errstate(over="ignore"):
            slopes = np.where(rise > 0.0, density / np.maximum(rise, 1e-300), 0.0)
        return Table(y, values, slopes)

    def _z(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return z (B, Q), and whether y is in the range of g; elsewhere z is the median."""
        nodes_z, nodes_y = self._nodes
        z = self._transformed(y)
        inside = np.isfinite(z)
        z = np.where(inside, z, nodes_z[len(T) // 2])
        known = inside & (y >= nodes_y[CORE][0]) & (y <= nodes_y[CORE][-1])
        again = np.where(known, self._map.to_y(z), y)
        width = nodes_y[CORE][-1] - nodes_y[CORE][0]
        wrong = np.abs(again - y) > 1e-6 * np.where(np.isfinite(width), width, np.abs(y))
        if wrong.any():
            row = int(np.argwhere(wrong)[0][0])
            raise ValueError(
                f"the transform of y and its inverse must undo each other, but y = {y[wrong][0]:.6g} in row "
                f"{self._first_row + row} becomes {again[wrong][0]:.6g}"
            )
        return z, inside

    def _transformed(self, y: np.ndarray) -> np.ndarray:
        try:
            return self._map.to_z(y)
        except ValueError as error:
            raise ValueError(f"y cannot be transformed: {error}") from error

    def _slope(self, z: np.ndarray, inside: np.ndarray) -> np.ndarray:
        """Derivative of g at z (B, Q)."""
        step = STEP * self._inner.moments()[1]
        far, near = ((self._map.to_y(z + k * step) - self._map.to_y(z - k * step)) / (2 * k * step) for k in (2, 1))
        slope = (4.0 * near - far) / 3.0
        after = (self._map.to_y(z + step) - self._map.to_y(z)) / step
        rough = inside & ~((slope > 0.0) & (np.abs(after - near) <= MOST_BENT * slope))
        if rough.any():
            row = int(np.argwhere(rough)[0][0])
            raise ValueError(
                f"the transform of y has no slope at the y of row {self._first_row + row}, so a density of y cannot be "
                f"had; take a smooth one, such as log or PowerTransformer, or score quantiles and intervals only"
            )
        return np.where(inside, slope, 1.0)


def _of_rows(function: Any, values: np.ndarray) -> np.ndarray:
    rows = values.reshape(-1, values.shape[-1])
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numbers that have no inverse; they are found by their nan
        return np.asarray(function(rows), float).reshape(values.shape)
