r"""The predictive distribution of a trained model, row by row: a mixture over draws of the weights.

.. math:: p(y | x) = \tfrac1S \sum_s p(y | f(x; w_s)), \quad w_s \sim q

Moments, intervals and densities follow from the S distributions of y without drawing noise. If the likelihood has noise
of a fixed shape, they are computed from locations and scales (`Mixture`), otherwise from its `distribution`
(`DensityMixture`, `CountMixture`). All rows go through one compiled program in blocks of one shape, so the result for
a row does not depend on the other rows, nor, but for rounding, on how many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from varbump.core.checks import check_draws
from varbump.core.keras import keras
from varbump.core.threads import each_in_threads
from varbump.likelihoods.checks import check_likelihood, is_discrete
from varbump.likelihoods.noise import Noise
from varbump.model.checks import check_network
from varbump.predict.components import Components
from varbump.predict.counts import CountMixture
from varbump.predict.densities import DensityMixture
from varbump.predict.mixture import Mixture
from varbump.predict.sampler import DrawSource, Leaf, Sampler, sampler_of
from varbump.predict.stored import StoredDraws

__all__ = ["BLOCK", "Predictive", "predictive_of", "uniform_of"]

LARGEST = 1e150
"""Largest absolute value of a draw: beyond it, variances overflow."""

BLOCK = 256
"""Rows per mixture, and per compiled call unless there are many; fewer are padded."""

LARGE, MANY = 4_096, 16_384
"""Rows per compiled call if there are many: two to three times as fast, for one more compilation."""

MAX_LARGE_DRAWS = 1_024
"""Draws up to which calls are large, a bound on their memory."""

PIT_SEED = 41
"""Seed of the uniform numbers in the PIT of counts: the same rows always get the same numbers."""


class Predictive:
    """Predictive distribution of y at x by a trained model.

    Parameters
    ----------
    source : tf_keras.Model, Ensemble or other source of draws
    likelihoods : sequence of likelihood
        One, or one for each member of an ensemble: draw s belongs to member s modulo their number.
    num_draws : int
        S, a multiple of the number of likelihoods.
    seed : int
        Seed of the draws.

    Attributes
    ----------
    source, num_draws
    """

    def __init__(self, source: keras.Model | DrawSource, likelihoods: Sequence[Any], num_draws: int, seed: int) -> None:
        self.source, self._likelihoods, self._seed = source, likelihoods, seed
        self._noises = _noises_of(likelihoods)
        self._is_discrete = self._noises is None and any(is_discrete(likelihood) for likelihood in likelihoods)
        self.num_draws = num_draws

    def moments(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean, total and epistemic sd, (N, Q) each; total variance is mean noise variance plus variance of the mean.

        Parameters
        ----------
        x : ndarray (N, D)
        """
        mean, total, epistemic = zip(*self.each(x, lambda _, mixture: mixture.moments(), LARGE), strict=True)
        return np.concatenate(mean)[: len(x)], np.concatenate(total)[: len(x)], np.concatenate(epistemic)[: len(x)]

    def covariance(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean (N, Q) and covariance between rows (N, N, Q), with the noise on the diagonal.

        Parameters
        ----------
        x : ndarray (N, D)
        """
        mixtures = [mixture for _, mixture in self.blocks(x)]
        f = np.concatenate([mixture.loc for mixture in mixtures], axis=1)[:, : len(x)]
        mean, total, epistemic = (
            np.concatenate(part)[: len(x)] for part in zip(*(m.moments() for m in mixtures), strict=True)
        )
        f = np.moveaxis(f - mean, -1, 0)  # (Q, S, N)
        covariance = np.moveaxis(np.swapaxes(f, 1, 2) @ f / f.shape[1], 0, -1)
        rows = np.arange(len(x))
        covariance[rows, rows] += total**2 - epistemic**2
        return mean, covariance

    def quantiles(self, x: np.ndarray, levels: Sequence[float] | np.ndarray, *, epistemic: bool = False) -> np.ndarray:
        """Quantiles of y, or of its expectation given the weights, (L, N, Q), in units of y.

        Parameters
        ----------
        x : ndarray (N, D)
        levels : sequence of float (L,)
            Levels in (0, 1).
        epistemic : bool, default=False
            Whether to return quantiles of E[y | w] over the draws w, rather than of y.
        """
        if epistemic:
            parts = self.each(x, lambda _, mixture: np.quantile(mixture.loc, levels, axis=0))
        else:
            parts = self.each(x, lambda _, mixture: np.stack([mixture.quantile(level) for level in levels]))
        return np.concatenate(parts, axis=1)[:, : len(x)]

    def cdf(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Probability of at most y (N, Q), for each target, (N, Q)."""
        return np.concatenate(self.each(x, lambda rows, mixture: mixture.cdf(_block_of(y, rows))))[: len(x)]

    def pit(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Probability integral transform at y (N, Q), for each target, (N, Q): randomised for counts."""
        parts = self.each(x, lambda rows, mixture: mixture.pit(_block_of(y, rows), uniform_of(rows, y.shape[1])))
        return np.concatenate(parts)[: len(x)]

    def log_density(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Log of the predictive density at y, nats, (N,): jointly over targets."""
        return np.concatenate(self.each(x, lambda rows, mixture: mixture.log_density(_block_of(y, rows))))[: len(x)]

    def sample(self, x: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Draw y, (S, N, Q): draw s is one function at all rows, with independent noise at each."""
        parts = [mixture.first(len(x[rows])).sample(generator) for rows, mixture in self.blocks(x)]
        return np.concatenate(parts, axis=1)

    def blocks(self, x: np.ndarray) -> Iterator[tuple[slice, Mixture | Components]]:
        """Yield blocks of rows: their indices, and the mixture for BLOCK rows, including padding."""
        calls, blocks = self._calls(x, BLOCK)
        return (block for start in calls for block in blocks(start))

    def each(self, x: np.ndarray, of: Callable[[slice, Any], Any], size: int = BLOCK) -> list[Any]:
        """Results of `of(rows, mixture)` for blocks of so many rows, in order; `of` runs in several threads.

        Of more rows than BLOCK, what a quantile or a score takes would not fit into caches.
        """
        calls, blocks = self._calls(x, size)

        def results(start: int) -> list[Any]:
            return [of(rows, mixture) for rows, mixture in blocks(start)]

        parts = [results(calls[0])]  # draws the weights
        if len(calls) > 1:
            parts += each_in_threads(results, calls[1:])
        return [result for part in parts for result in part]

    def _calls(self, x: np.ndarray, size: int) -> tuple[range, Callable[[int], Iterator[tuple[slice, Any]]]]:
        """First rows of the compiled calls, and what yields the blocks of each, whose last one is padded."""
        of_call = LARGE if len(x) >= MANY and self.num_draws <= MAX_LARGE_DRAWS else BLOCK
        padded = np.pad(x, [(0, -len(x) % of_call)] + [(0, 0)] * (x.ndim - 1))
        sampler = self.sampler(x, of_call)

        def blocks(first: int) -> Iterator[tuple[slice, Mixture | Components]]:
            (_, f), *_ = sampler.chunks(padded[first : first + of_call])
            for start in range(first, min(first + of_call, len(x)), size):
                mixture = self._mixture(f[:, start - first : start - first + size])
                _check_finite(mixture.loc[:, : len(x) - start], start)
                yield slice(start, start + mixture.loc.shape[1]), mixture

        return range(0, len(padded), of_call), blocks

    def _mixture(self, f: np.ndarray) -> Mixture | Components:
        """Make the mixture of the distributions of y for draws f (S, B, K)."""
        if self._noises is not None:
            return Mixture(self._by_member(f, "mean"), self._by_member(f, "stddev"), self._noises)
        return (CountMixture if self._is_discrete else DensityMixture)(self._likelihoods, f)

    def sampler(self, x: np.ndarray, chunk_size: int = BLOCK) -> Sampler:
        """Return the sampler that draws functions at rows like those of x, so many per compiled call."""
        return sampler_of(self.source, x.shape[1:], self.num_draws, self._seed, chunk_size)

    def leaves(self, row_shape: tuple[int, ...]) -> list[Leaf]:
        """The samplers of single networks whose draws are averaged over, with their likelihoods."""
        sampler = sampler_of(self.source, row_shape, self.num_draws, self._seed, BLOCK)
        return sampler.leaves(self._likelihoods)

    def _by_member(self, f: np.ndarray, what: str) -> np.ndarray:
        """Mean or sd of y for draws f (S, B, K) of the members in turn, (S, B, Q)."""
        count = len(self._likelihoods)
        parts = [getattr(like, what)(f[index::count]).numpy() for index, like in enumerate(self._likelihoods)]
        result = np.empty((len(f), *parts[0].shape[1:]))
        for index, part in enumerate(parts):
            result[index::count] = part
        return result


def predictive_of(source: Any, likelihood: Any, num_draws: int, seed: int) -> Predictive:
    """Make the predictive distribution of any source of draws.

    Parameters
    ----------
    source : tf_keras.Model, Ensemble, PosteriorDraws or ImportanceDraws
    likelihood : likelihood or None
        The likelihood of the training. An ensemble has its own ones, learned by each member.
    num_draws : int
        S, rounded up to a multiple of the members of an ensemble, and at most the number of stored draws.
    seed : int

    Raises
    ------
    TypeError
        If `source` is not a source of draws, or if `likelihood` is missing or not a likelihood.
    """
    num_draws = check_draws(num_draws, minimum=2)
    if not isinstance(source, (keras.Model, DrawSource)):
        held = isinstance(getattr(source, "network", None), keras.Model)
        hint = "; its attributes 'network' and 'likelihood' are what to pass" if held else ""
        raise TypeError(
            f"model must be a network, what varbump.fit_ensemble or varbump.sample_nuts returned, or a fitted "
            f"VariationalRegressor, got {type(source).__name__}{hint}"
        )
    check_network(source if isinstance(source, keras.Model) else source.network, predicts=True)
    if likelihood is None:
        likelihood = getattr(source, "likelihood", None)
        if likelihood is None:
            raise TypeError("likelihood is missing: pass the one that the model was trained with")
    check_likelihood(likelihood, "mean", "stddev")
    _noises_of([likelihood])
    if hasattr(source, "likelihoods"):  # an ensemble, whose members have learned their own noise
        own = likelihood is getattr(source, "likelihood", None)
        likelihoods = source.likelihoods if own else [likelihood] * len(source.likelihoods)
        return Predictive(source, likelihoods, -(-num_draws // len(likelihoods)) * len(likelihoods), seed)
    stored = getattr(source, "num_chains", 1) * getattr(source, "num_draws", 0)
    if stored:
        num_draws = min(num_draws, stored)
    if isinstance(source, StoredDraws):
        likelihood = source.likelihood_of_draws(likelihood, num_draws)
    return Predictive(source, [likelihood], num_draws, seed)


def uniform_of(rows: slice, num_targets: int) -> np.ndarray:
    """Uniform numbers for the PIT of counts in a block of rows, (BLOCK, Q)."""
    return np.random.default_rng((PIT_SEED, rows.start)).uniform(size=(BLOCK, num_targets))


def _noises_of(likelihoods: Sequence[Any]) -> list[Noise] | None:
    """Noise of fixed shape of each likelihood, or None if one of them has none."""
    for likelihood in likelihoods:
        if not hasattr(likelihood, "noise") or not hasattr(likelihood, "distribution"):
            raise TypeError(
                f"likelihood must be one of varbump.likelihoods, or a subclass of varbump.likelihoods.Likelihood with "
                f"a distribution, got {likelihood!r}"
            )
    noises = [likelihood.noise() for likelihood in likelihoods]
    return None if None in noises else noises


def _check_finite(loc: np.ndarray, start: int) -> None:
    """Raise a ValueError unless all draws (S, B, Q) and their squares are finite."""
    bad = ~(np.abs(loc) < LARGEST).all(axis=(0, 2))
    if bad.any():
        raise ValueError(
            f"the model gives nan, or numbers beyond {LARGEST:g}, in row {start + int(np.argmax(bad))} of x: its "
            f"weights are not finite, or that row is far from any that it was trained with"
        )


def _block_of(y: np.ndarray, rows: slice) -> np.ndarray:
    """Block of rows of y, padded like those of x."""
    block = np.zeros((BLOCK, *y.shape[1:]))
    block[: len(y[rows])] = y[rows]
    return block
