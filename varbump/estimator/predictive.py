r"""The predictive distribution of a trained ensemble, row by row: a mixture over draws of the weights.

.. math:: p(y | x) = \tfrac1S \sum_s p(y | f(x; w_s)), \quad w_s \sim q

Every likelihood here is a location and a scale for each draw, so that moments, intervals and densities follow from
the S of them without drawing noise. All rows go through one compiled program in blocks of one shape: a row's answer
is the same whichever rows are asked for with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from scipy.special import gammaln, logsumexp, ndtr, ndtri, stdtr, stdtrit

from varbump.likelihoods import StudentT
from varbump.sampler import sampler_of
from varbump.training import Ensemble

__all__ = ["BLOCK", "Predictive"]

BLOCK = 256
"""Rows a compiled call; fewer are padded."""

BISECTIONS = 40
"""Halvings of the bracket of a quantile: 2^-40 of its width."""


class Predictive:
    """What a trained ensemble says about standardised y at standardised x.

    Parameters
    ----------
    ensemble : Ensemble
    likelihoods : sequence of likelihood
        Of each member.
    num_draws : int
        S; a multiple of the number of members.
    seed : int
        Of the draws.
    """

    def __init__(self, ensemble: Ensemble, likelihoods: Sequence[Any], num_draws: int, seed: int) -> None:
        self._ensemble, self._likelihoods, self._num_draws, self._seed = ensemble, likelihoods, num_draws, seed

    def moments(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean, total and epistemic sd, (N, Q) each; the total variance is mean noise variance plus that of the mean.

        Parameters
        ----------
        x : ndarray (N, D)
        """
        parts = []
        for _, loc, scale in self.blocks(x):
            epistemic = loc.var(axis=0)
            parts.append((loc.mean(axis=0), np.sqrt(epistemic + np.mean(scale**2, axis=0)), np.sqrt(epistemic)))
        mean, total, epistemic = (np.concatenate(part)[: len(x)] for part in zip(*parts, strict=True))
        return mean, total, epistemic

    def quantiles(self, x: np.ndarray, levels: Sequence[float] | np.ndarray, *, epistemic: bool = False) -> np.ndarray:
        """Quantiles of y, or of its expectation given the weights, (L, N, Q).

        Parameters
        ----------
        x : ndarray (N, D)
        levels : sequence of float (L,)
            In (0, 1).
        epistemic : bool, default=False
            Of E[y | w] over the draws w rather than of y.
        """
        parts = []
        for _, loc, scale in self.blocks(x):
            if epistemic:
                parts.append(np.quantile(loc, levels, axis=0))
            else:
                parts.append(np.stack([self._quantile(loc, scale, level) for level in levels]))
        return np.concatenate(parts, axis=1)[:, : len(x)]

    def log_density(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Log of the predictive density at y, nats, (N,): jointly over targets."""
        parts = []
        for rows, loc, scale in self.blocks(x):
            of_draws = np.zeros(loc.shape[:2])
            block = np.zeros((BLOCK, y.shape[1]))
            block[: len(y[rows])] = y[rows]
            for index, likelihood in enumerate(self._likelihoods):
                mine = slice(index, None, len(self._likelihoods))
                of_draws[mine] = _log_density(likelihood, block, loc[mine], scale[mine])
            parts.append(logsumexp(of_draws, axis=0) - np.log(len(of_draws)))
        return np.concatenate(parts)[: len(x)]

    def sample(self, x: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Draws of y, (S, N, Q): draw s is one function at all rows, with noise of its own at each."""
        parts = []
        for rows, loc, scale in self.blocks(x):
            kept = loc[:, : len(x[rows])]
            noise = np.empty(kept.shape)
            for index, likelihood in enumerate(self._likelihoods):
                mine = slice(index, None, len(self._likelihoods))
                noise[mine] = _standard_noise(likelihood, kept[mine].shape, generator)
            parts.append(kept + scale[:, : len(x[rows])] * noise)
        return np.concatenate(parts, axis=1)

    def blocks(self, x: np.ndarray) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Blocks of rows: which, and mean and sd of y for each draw, float64 (S, BLOCK, Q), padded ones among them."""
        padded = np.pad(x, [(0, -len(x) % BLOCK), (0, 0)])
        sampler = sampler_of(self._ensemble, x.shape[1:], self._num_draws, self._seed, BLOCK)
        for start in range(0, len(padded), BLOCK):
            (_, f), *_ = sampler.chunks(padded[start : start + BLOCK])
            yield slice(start, start + BLOCK), self._by_member(f, "mean"), self._by_member(f, "stddev")

    def _by_member(self, f: np.ndarray, what: str) -> np.ndarray:
        """Mean or sd of y for draws f (S, B, K) of the members in turn, (S, B, Q)."""
        count = len(self._likelihoods)
        parts = [getattr(like, what)(f[index::count]).numpy() for index, like in enumerate(self._likelihoods)]
        result = np.empty((len(f), *parts[0].shape[1:]))
        for index, part in enumerate(parts):
            result[index::count] = part
        return result

    def _quantile(self, loc: np.ndarray, scale: np.ndarray, level: float) -> np.ndarray:
        """The y at which the distribution function of the mixture is `level`, (B, Q), by bisection."""
        ends = np.empty(loc.shape)  # the quantile of a mixture lies between those of its components
        count = len(self._likelihoods)
        for index, likelihood in enumerate(self._likelihoods):
            ends[index::count] = (loc + scale * _standard_quantile(likelihood, level))[index::count]
        low, high = ends.min(axis=0), ends.max(axis=0)
        for _ in range(BISECTIONS):
            middle = 0.5 * (low + high)
            below = self._cdf(middle, loc, scale) < level
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return 0.5 * (low + high)

    def _cdf(self, y: np.ndarray, loc: np.ndarray, scale: np.ndarray) -> np.ndarray:
        z = (y - loc) / scale
        count = len(self._likelihoods)
        shares = [_standard_cdf(like)(z[index::count]).sum(axis=0) for index, like in enumerate(self._likelihoods)]
        return np.sum(shares, axis=0) / len(z)


def _unit(likelihood: Any) -> float:
    """Scale parameter of a Student t of sd 1."""
    return float(np.sqrt((likelihood.df - 2.0) / likelihood.df))


def _standard_cdf(likelihood: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Distribution function of the noise in units of its sd."""
    if isinstance(likelihood, StudentT):
        df, unit = likelihood.df, _unit(likelihood)
        return lambda z: stdtr(df, z / unit)
    return ndtr


def _standard_quantile(likelihood: Any, level: float) -> float:
    """Quantile of the noise in units of its sd."""
    if isinstance(likelihood, StudentT):
        return _unit(likelihood) * float(stdtrit(likelihood.df, level))
    return float(ndtri(level))


def _standard_noise(likelihood: Any, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    if isinstance(likelihood, StudentT):
        return _unit(likelihood) * generator.standard_t(likelihood.df, shape)
    return generator.standard_normal(shape)


def _log_density(likelihood: Any, y: np.ndarray, loc: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Log-density of y (B, Q) for each draw, summed over targets, (S, B)."""
    z = (y - loc) / scale
    if isinstance(likelihood, StudentT):
        df, unit = likelihood.df, _unit(likelihood)
        constant = gammaln(0.5 * (df + 1.0)) - gammaln(0.5 * df) - 0.5 * np.log(np.pi * df)
        log_density = constant - 0.5 * (df + 1.0) * np.log1p((z / unit) ** 2 / df) - np.log(unit * scale)
    else:
        log_density = -0.5 * z**2 - np.log(scale) - 0.5 * np.log(2.0 * np.pi)
    return log_density.sum(axis=-1)
