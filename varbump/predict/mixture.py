"""Mixture over draws, row by row: its moments, quantiles, density and scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
from scipy.special import logsumexp, ndtri

from varbump.likelihoods.noise import Noise, noise_with_tail
from varbump.predict.newton import bracketed_newton

__all__ = ["Mixture"]

TOLERANCE = 1e-6
"""Last step of Newton's method, in sds of the narrowest component: steps square the error, so it is 1e-12."""

STEP = 0.2
"""Step of the trapezoidal rule, in sds of the narrowest component, for a relative error of about 1e-11."""

MAX_NODES = 1000


class Mixture:
    r"""The distribution :math:`F(y) = \tfrac1S \sum_s F_s((y - \mathrm{loc}_s) / \mathrm{scale}_s)` of each entry.

    Parameters
    ----------
    loc, scale : ndarray (S, B, Q)
        Mean and sd of y for each draw s.
    noises : sequence of Noise
        Noise in units of its sd, of draws 0, 1, ... in turn.
    places : sequence of slice, optional
        Which draws have each noise, if they do not take turns; together they are all draws, each once.
    """

    is_smooth = True
    """Whether no single value of y has a positive probability."""

    def __init__(
        self,
        loc: np.ndarray,
        scale: np.ndarray,
        noises: Sequence[Noise],
        places: Sequence[slice] | None = None,
    ) -> None:
        self.loc, self.scale, self._noises = loc, scale, tuple(noises)
        taking_turns = [slice(index, None, len(self._noises)) for index in range(len(self._noises))]
        self._places = tuple(taking_turns if places is None else places)

    def affine(self, shift: np.ndarray, unit: np.ndarray) -> Mixture:
        """The distribution of ``shift + unit * y``, both (Q,)."""
        return Mixture(shift + unit * self.loc, unit * self.scale, self._noises, self._places)

    def with_noise(self, factor: float, tail: float = 0.0) -> Mixture:
        """The mixture with the sd of all noise multiplied by a factor, and tails that are at least so heavy."""
        noises = [noise if noise.tail >= tail else noise_with_tail(tail) for noise in self._noises]
        return Mixture(self.loc, factor * self.scale, noises, self._places)

    def first(self, num: int) -> Mixture:
        """The mixture for the first `num` rows."""
        return Mixture(self.loc[:, :num], self.scale[:, :num], self._noises, self._places)

    def moments(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean, total and epistemic sd, (B, Q) each; total variance is mean noise variance plus variance of the mean.

        References
        ----------
        The law of total variance, :math:`V[y] = E[V[y | w]] + V[E[y | w]]`.
        """
        epistemic = self.loc.var(axis=0)
        total = np.sqrt(epistemic + np.mean(self.scale**2, axis=0))
        return self.loc.mean(axis=0), total, np.sqrt(epistemic)

    def cdf(self, y: np.ndarray) -> np.ndarray:
        """F(y), (B, Q); at the observations it is the probability integral transform."""
        return self._mean_of(y, [noise.cdf for noise in self._noises])

    def _fast_cdf(self, y: np.ndarray) -> np.ndarray:
        return self._mean_of(y, [noise.fast_cdf for noise in self._noises])

    def _mean_of(self, y: np.ndarray, functions: Sequence[Callable[[np.ndarray], np.ndarray]]) -> np.ndarray:
        z = (y - self.loc) / self.scale
        shares = [function(z[mine]).sum(axis=0) for mine, function in zip(self._places, functions, strict=True)]
        return np.sum(shares, axis=0) / len(z)

    def pit(self, y: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """F(y): single values of y have probability 0, so `uniform` is ignored; see `Components.pit`."""
        del uniform
        return self.cdf(y)

    def log_components(self, y: np.ndarray) -> np.ndarray:
        """Log density of each component at y (B, Q), nats, (S, B, Q)."""
        z, result = (y - self.loc) / self.scale, np.empty(self.loc.shape)
        for mine, noise in self._by_noise():
            result[mine] = noise.log_pdf(z[mine], self.scale[mine])
        return result

    def log_density(self, y: np.ndarray) -> np.ndarray:
        """Log density at y (B, Q), nats, jointly over targets, (B,)."""
        return logsumexp(self.log_components(y).sum(axis=-1), axis=0) - np.log(len(self.loc))

    def quantile(self, level: float) -> np.ndarray:
        """The y at which the distribution function is `level`, (B, Q).

        Computed by Newton's method inside a bracket, starting from the quantile of a normal of the same moments; five
        steps are usual. An entry that has converged is not changed any more, so no entry depends on the others.
        """
        ends = np.empty(self.loc.shape)  # the quantile of a mixture lies between those of its components
        for mine, noise in self._by_noise():
            ends[mine] = (self.loc + self.scale * noise.quantile(level))[mine]
        low, high = ends.min(axis=0), ends.max(axis=0)
        mean, sd, _ = self.moments()
        return self._search(level, low, high, np.clip(mean + sd * ndtri(level), low, high))

    def ladder(self, levels: Sequence[float] | np.ndarray) -> np.ndarray:
        """Quantiles at many levels, (L, B, Q): the same as `quantile`, by Newton's method in the cells of a grid."""
        nodes, values = self._grid
        return np.stack([self._newton(level, nodes, values) for level in levels])

    def crps(self, y: np.ndarray) -> np.ndarray:
        r"""Continuous ranked probability score at y, (B, Q), units of y; smaller is better.

        .. math:: \int (F(t) - 1_{t \ge y})^2 dt = \operatorname{E}|Y - y| - \int F (1 - F) dt

        The first term has a closed form for each component. The integral is computed by the trapezoidal rule, which
        converges exponentially for analytic integrands: to 1e-11 of the result for normal noise. Its closed form, a
        double sum over pairs of components (`scoringrules.crps_mixnorm`), gives the same at 100 times the cost.

        References
        ----------
        Gneiting and Raftery (2007), "Strictly Proper Scoring Rules, Prediction, and Estimation", eq. 20 and 21.
        """
        z, distance = (y - self.loc) / self.scale, np.empty(self.loc.shape)
        for mine, noise in self._by_noise():
            distance[mine] = self.scale[mine] * noise.mean_distance(z[mine])
        return distance.mean(axis=0) - self._spread

    def sample(self, generator: np.random.Generator) -> np.ndarray:
        """One draw of each component, (S, B, Q)."""
        noise = np.empty(self.loc.shape)
        for mine, kind in self._by_noise():
            noise[mine] = kind.sample(noise[mine].shape, generator)
        return self.loc + self.scale * noise

    def _by_noise(self) -> list[tuple[slice, Noise]]:
        pairs = zip(self._places, self._noises, strict=True)
        return [(mine, noise) for mine, noise in pairs if len(self.loc[mine])]

    @cached_property
    def _spacing(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The map t = centre + width sinh(u) to nodes t: centre, width (B, Q) and the uniform u (K,).

        Nodes are widely spaced in the tails, and dense enough for every component where it lies.
        """
        centre, width, _ = self.moments()
        reach = max(noise.reach for noise in self._noises)
        reach = np.max(np.abs(self.loc - centre) + reach * self.scale, axis=0) / width
        end = float(np.max(np.arcsinh(reach)))
        step = float(np.min(STEP * self.scale / np.hypot(width, self.loc - centre)))
        num = int(np.clip(np.ceil(2.0 * end / step), 16, MAX_NODES))
        return centre, width, np.linspace(-end, end, num + 1)

    @cached_property
    def _grid(self) -> tuple[np.ndarray, np.ndarray]:
        """Nodes t and F(t), (K, B, Q) each."""
        centre, width, u = self._spacing
        nodes = centre + width * np.sinh(u)[:, None, None]
        return nodes, np.stack([self._fast_cdf(node) for node in nodes])

    @cached_property
    def _spread(self) -> np.ndarray:
        """The integral of F (1 - F), half of E|Y - Y'|, (B, Q)."""
        _, width, u = self._spacing
        _, values = self._grid
        weights = (u[1] - u[0]) * np.cosh(u)[:, None, None]  # the integrand vanishes at both ends
        return width * np.sum(weights * values * (1.0 - values), axis=0)

    def _newton(self, level: float, nodes: np.ndarray, values: np.ndarray) -> np.ndarray:
        after = np.clip(np.sum(values < level, axis=0), 1, len(nodes) - 1)[None]
        (low, high), (below, above) = (
            [np.take_along_axis(array, index, 0)[0] for index in (after - 1, after)] for array in (nodes, values)
        )
        share = np.clip((level - below) / np.maximum(above - below, 1e-300), 0.0, 1.0)
        return self._search(level, low, high, low + share * (high - low))

    def _search(self, level: float, low: np.ndarray, high: np.ndarray, y: np.ndarray) -> np.ndarray:
        tolerance = TOLERANCE * self.scale.min(axis=0)

        def density(y: np.ndarray) -> np.ndarray:
            return np.exp(self.log_components(y)).mean(axis=0)

        return bracketed_newton(level, low, high, y, self._fast_cdf, density, tolerance)
