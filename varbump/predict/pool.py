r"""Pools of ensembles: one predictive distribution from several models of the same y, each with a weight.

.. math:: p(y | x) = \tfrac1S \sum_c \sum_{s=1}^{S_c} p_c(y | f_c(x; w_{cs})), \quad S_c \approx w_c S

The S draws are shared out among the models by weight, so that all of them count equally, as everywhere else. Models
may have noise of different shapes: a draw of a pool at a row is the mean, the sd and the tail of y there.

References
----------
Stone (1961), "The Opinion Pool".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from varbump.core.keras import keras
from varbump.core.random import generator, standard_normal
from varbump.core.temperature import temperature_of
from varbump.likelihoods.noise import Noise, noise_with_tail
from varbump.predict.mixture import Mixture
from varbump.predict.predictive import Predictive
from varbump.predict.sampler import Leaf, Sampler

__all__ = ["Part", "Pool", "PooledPredictive", "can_be_pooled", "shared_out"]

FEW = 20
"""Draws of each member from which all members of a model get equally many; fewer are shared out one by one."""

SHARE_SEED = 53
"""Path of the random number that decides, for a seed, who gets the draws that a weight does not divide evenly."""


class Part(NamedTuple):
    """One model of a pool.

    Attributes
    ----------
    ensemble : Ensemble
    weight : float
        Not negative; the weights of a pool add up to 1.
    inputs : ndarray (D,)
        1 for the columns of x that the model sees, and 0 for those that it takes as 0.
    """

    ensemble: Any
    weight: float
    inputs: np.ndarray


class Pool:
    """Pool of ensembles of networks with the same inputs, a source of draws.

    Parameters
    ----------
    parts : sequence of Part
        The heaviest comes first.
    noise_factor : float, default=1.0
        Sd of the noise in units of that of the parts, whose own errors cancel in part.
    noise_tail : float, default=0.0
        Inverse degrees of freedom of the noise; that of parts with heavier tails stays as it is.

    Attributes
    ----------
    parts : tuple of Part
    noise_factor, noise_tail : float
    network : tf_keras.Model
        That of the first part.
    likelihood : PoolNoise
    """

    def __init__(self, parts: Sequence[Part], noise_factor: float = 1.0, noise_tail: float = 0.0) -> None:
        self.parts, self.likelihood = tuple(parts), PoolNoise()
        self.noise_factor, self.noise_tail = noise_factor, noise_tail

    @property
    def network(self) -> keras.Model:
        """Network of the first part; those of the others take the same inputs."""
        return self.parts[0].ensemble.network

    @property
    def temperature(self) -> float:
        """Temperature of the training."""
        return temperature_of(self.parts[0].ensemble)

    def sampler(
        self, row_shape: tuple[int, ...], num_draws: int, seed: int, chunk_size: int | None = None
    ) -> PoolSampler:
        """Return a sampler whose draws are those of the parts, one part after the other."""
        return PoolSampler(self, row_shape, num_draws, seed, chunk_size)


class PoolNoise:
    """Distribution of y given a draw (..., 3 Q) of a pool: the mean, the sd, and the inverse degrees of freedom of t.

    An inverse of 0 means normal noise.
    """

    def mean(self, f: np.ndarray) -> np.ndarray:
        """E[y | f], (..., Q)."""
        return f[..., : f.shape[-1] // 3]

    def stddev(self, f: np.ndarray) -> np.ndarray:
        """Standard deviation of y given f, (..., Q)."""
        num_targets = f.shape[-1] // 3
        return f[..., num_targets : 2 * num_targets]

    def sample(self, f: np.ndarray, seed: Any) -> tf.Tensor:
        """Draw one y for each f, (..., Q); `seed` is a stateless seed (2,), and the formula that of `StudentT`."""
        mean, tail = self.mean(f), f[..., 2 * (f.shape[-1] // 3) :]
        z = standard_normal([2, *mean.shape], seed, tf.as_dtype(f.dtype)).numpy()
        s = np.square(z).sum(axis=0) * tail
        longer = np.sqrt(np.expm1(s) / np.where(s > 0.0, s, 1.0), where=s > 0.0, out=np.ones_like(s))
        return tf.convert_to_tensor(mean + self.stddev(f) * np.sqrt(1.0 - 2.0 * tail) * z[0] * longer)

    def nll(self, y: Any, f: Any) -> tf.Tensor:
        """Raise a TypeError: a pool is not trained as a whole."""
        raise TypeError("a pool of models has no loss; each of its models was trained by itself")


class PoolSampler(Sampler):
    """Sampler of a pool: runs the samplers of its parts one after the other."""

    def __init__(
        self, pool: Pool, row_shape: tuple[int, ...], num_draws: int, seed: int, chunk_size: int | None
    ) -> None:
        super().__init__(pool.network, row_shape, num_draws, seed, chunk_size)
        members = [part.ensemble.num_members for part in pool.parts]
        counts = shared_out([part.weight for part in pool.parts], num_draws, members, seed)
        self._runs = [
            (part, part.ensemble.sampler(row_shape, count, seed + 7_919 * index, chunk_size))
            for index, (part, count) in enumerate(zip(pool.parts, counts, strict=True))
            if count
        ]
        self._counts, self._noise = [count for count in counts if count], (pool.noise_factor, pool.noise_tail)

    def draws(self, x: np.ndarray) -> Iterator[tuple[slice, slice, np.ndarray]]:
        """Yield pieces of the result: draws (a slice), rows and values (S', N', 3 Q)."""
        first = 0
        for (part, sampler), count in zip(self._runs, self._counts, strict=True):
            likelihoods = part.ensemble.likelihoods
            for which, rows, f in sampler.draws(x * part.inputs.astype(x.dtype)):
                values = _described(likelihoods[which.start % len(likelihoods)], f, *self._noise)
                yield slice(first + which.start, first + which.stop, which.step), rows, values
            first += count

    def leaves(self, likelihoods: Sequence[Any]) -> list[Leaf]:
        """The samplers of the members of all parts, each with the likelihood it was trained with."""
        return [
            leaf._replace(inputs=part.inputs, pool_noise=self._noise)
            for part, sampler in self._runs
            for leaf in sampler.leaves(part.ensemble.likelihoods)
        ]

    def weights(self) -> tuple[np.ndarray, ...]:
        """Raise a TypeError: the models have weights of different shapes."""
        raise TypeError("the models of a pool have weights of different shapes; take those of its ensemble_")


class PooledPredictive(Predictive):
    """Predictive distribution of a pool.

    Parameters
    ----------
    pool : Pool
    num_draws : int
        S.
    seed : int
    """

    def __init__(self, pool: Pool, num_draws: int, seed: int) -> None:
        self.source, self.num_draws, self._seed = pool, num_draws, seed
        self._likelihoods = [pool.likelihood]
        self._pool_noise = pool.likelihood
        self._known: dict[float, Noise] = {}

    def _mixture(self, f: np.ndarray) -> Mixture:
        """Make the mixture for draws f (S, B, 3 Q), of which runs of equal tails share their noise."""
        noise, tails = self._pool_noise, f[:, 0, -1]
        starts = np.flatnonzero(np.concatenate([[True], tails[1:] != tails[:-1]]))
        ends = [*starts[1:], len(f)]
        noises = [self._noise(float(tails[start])) for start in starts]
        places = [slice(int(start), int(end)) for start, end in zip(starts, ends, strict=True)]
        loc, scale = (np.asarray(part, np.float64) for part in (noise.mean(f), noise.stddev(f)))
        return Mixture(loc, scale, noises, places)

    def _noise(self, tail: float) -> Noise:
        if tail not in self._known:
            self._known[tail] = noise_with_tail(tail)
        return self._known[tail]


def can_be_pooled(likelihood: Any) -> bool:
    """Whether the noise of a likelihood has one shape for all f, which a draw of a pool can describe."""
    return likelihood.noise() is not None


def shared_out(weights: Sequence[float], num_draws: int, members: Sequence[int], seed: int) -> list[int]:
    """Share out draws among models by weight, by systematic sampling: each gets its share, rounded up or down.

    Over seeds, the expected share is exact, also of a single draw. If there are many draws, members of a model get
    equally many, so that one compiled program serves them all.

    Parameters
    ----------
    weights : sequence of float (C,)
        They add up to 1.
    num_draws : int
        S.
    members : sequence of int (C,)
        Members of each model.
    seed : int

    References
    ----------
    Kitagawa (1996), "Monte Carlo Filter and Smoother", appendix (stratified and systematic resampling).
    """
    unit = members[0] if len(set(members)) == 1 else 1
    if num_draws % unit or num_draws < FEW * unit:
        unit = 1
    start = generator(seed, SHARE_SEED).uniform()
    ends = np.floor(np.cumsum(weights) * (num_draws // unit) + start).astype(int)
    ends[-1] = num_draws // unit
    return [int(count) * unit for count in np.diff(np.minimum(ends, ends[-1]), prepend=0)]


def _described(likelihood: Any, f: np.ndarray, noise_factor: float, noise_tail: float) -> np.ndarray:
    """Mean, sd and inverse degrees of freedom of y for draws f (S, N, K) of one member, (S, N, 3 Q)."""
    mean, sd = (np.asarray(of(f)) for of in (likelihood.mean, likelihood.stddev))
    sd = np.broadcast_to(sd * sd.dtype.type(noise_factor), mean.shape)
    return np.concatenate([mean, sd, np.full_like(mean, max(likelihood.noise().tail, noise_tail))], axis=-1)
