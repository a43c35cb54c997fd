"""Base of mixtures over draws of f of any distribution of y: counts and densities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from scipy.special import logsumexp

from varbump.likelihoods.checks import is_discrete
from varbump.predict.affine import AffineMixture

__all__ = ["Components"]


class Components:
    r"""The distribution :math:`p(y) = \tfrac1S \sum_s p(y | f_s)` of each entry; abstract.

    It has the interface of `Mixture`. Distributions are those of TensorFlow Probability, evaluated eagerly and, if the
    likelihood allows it, in double precision; arrays are NumPy arrays.

    Parameters
    ----------
    likelihoods : sequence of Likelihood
        Likelihoods of draws 0, 1, ... in turn.
    f : ndarray (S, B, K)
        Network outputs.

    Attributes
    ----------
    loc, scale : ndarray (S, B, Q)
        Mean and sd of y for each draw.
    """

    def __init__(self, likelihoods: Sequence[Any], f: np.ndarray) -> None:
        self._likelihoods, self._f = tuple(likelihoods), f
        self._made = [_distribution(like, f[index :: len(likelihoods)]) for index, like in enumerate(likelihoods)]
        self.loc = self._in_turn([_numbers(like.mean, made[1]) for like, made in self._pairs()])
        self.scale = self._in_turn([_numbers(like.stddev, made[1]) for like, made in self._pairs()])
        ends = [like.support for like in self._likelihoods]
        self._low, self._high = float(min(low for low, _ in ends)), float(max(high for _, high in ends))

    @property
    def is_smooth(self) -> bool:
        """Whether no single value of y has a positive probability."""
        return not any(is_discrete(like) or like.atoms for like in self._likelihoods)

    def affine(self, shift: np.ndarray, unit: np.ndarray) -> Any:
        """The distribution of ``shift + unit * y``, both (Q,)."""
        return self if _is_identity(shift, unit) else AffineMixture(self, shift, unit)

    def first(self, num: int) -> Components:
        """The mixture for the first `num` rows."""
        return self if num == self._f.shape[1] else type(self)(self._likelihoods, self._f[:, :num])

    def moments(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean, total and epistemic sd, (B, Q) each, by the law of total variance."""
        epistemic = self.loc.var(axis=0)
        return self.loc.mean(axis=0), np.sqrt(epistemic + np.mean(self.scale**2, axis=0)), np.sqrt(epistemic)

    def cdf(self, y: np.ndarray) -> np.ndarray:
        """F(y) = P(Y <= y), (B, Q)."""
        inside = np.clip(y, self._low, self._high)
        values = np.clip(self._cdf_of_components(inside).mean(axis=0), 0.0, 1.0)
        return np.where(y < self._low, 0.0, np.where(y >= self._high, 1.0, values))

    def mass(self, y: np.ndarray) -> np.ndarray:
        """P(Y = y), (B, Q)."""
        raise NotImplementedError

    def pit(self, y: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        r"""Randomised probability integral transform, (B, Q).

        .. math:: F(y) - (1 - u) P(Y = y), \quad u \sim U(0, 1)

        It is uniform for a calibrated model, so every band and test for continuous y is also valid for counts. The
        mid-p value, u = 1/2, is not: for small counts it has a peak that would suggest intervals that are too wide.

        References
        ----------
        Smith (1985), "Diagnostic Checks of Non-standard Time Series Models"; Czado, Gneiting and Held (2009),
        "Predictive Model Assessment for Count Data", section 2.1.
        """
        return np.clip(self.cdf(y) - (1.0 - uniform) * self.mass(y), 0.0, 1.0)

    def log_components(self, y: np.ndarray) -> np.ndarray:
        """Log density or, for counts, log probability of each component at y (B, Q), nats, (S, B, Q)."""
        values = self._log_prob_of_components(np.clip(y, self._low, self._high))
        return np.where((y < self._low) | (y > self._high), -np.inf, values)

    def log_density(self, y: np.ndarray) -> np.ndarray:
        """Log density or probability at y (B, Q), nats, jointly over targets, (B,)."""
        return logsumexp(self.log_components(y).sum(axis=-1), axis=0) - np.log(len(self.loc))

    def quantile(self, level: float) -> np.ndarray:
        """The smallest y with F(y) >= level, (B, Q)."""
        raise NotImplementedError

    def ladder(self, levels: Sequence[float] | np.ndarray) -> np.ndarray:
        """Quantiles at many levels, (L, B, Q)."""
        return np.stack([self.quantile(float(level)) for level in levels])

    def crps(self, y: np.ndarray) -> np.ndarray:
        """Continuous ranked probability score at y, (B, Q), units of y; smaller is better."""
        raise NotImplementedError

    def sample(self, generator: np.random.Generator) -> np.ndarray:
        """One draw of each component, (S, B, Q)."""
        seeds = generator.integers(2**31, size=(len(self._made), 2))
        draws = [
            _numbers(lambda f, like=like, seed=seed: like.sample(f, seed.astype(np.int32)), made[1])
            for (like, made), seed in zip(self._pairs(), seeds, strict=True)
        ]
        return self._in_turn(draws)

    def _pairs(self) -> list[tuple[Any, tuple[Any, tf.Tensor]]]:
        """Yield likelihoods with their distributions and f, except those of members without a draw."""
        return [(like, made) for like, made in zip(self._likelihoods, self._made, strict=True) if made[1].shape[0]]

    def _in_turn(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        result = np.empty((len(self._f), *parts[0].shape[1:]))
        for index, part in enumerate(parts):
            result[index :: len(self._likelihoods)] = part
        return result

    def _cdf_of_components(self, y: np.ndarray) -> np.ndarray:
        try:
            return self._in_turn([np.asarray(like.cdf(y, made[1]), float) for like, made in self._pairs()])
        except NotImplementedError as error:
            raise TypeError(
                f"the distribution of {type(self._likelihoods[0]).__name__} has no cdf, which quantiles and scores "
                f"need; define cdf(self, y, f)"
            ) from error

    def _log_prob_of_components(self, y: np.ndarray) -> np.ndarray:
        parts = []
        for _, (made, _) in self._pairs():
            parts.append(np.asarray(made.log_prob(tf.cast(y, made.dtype)), float))
        return self._in_turn(parts)


def _distribution(likelihood: Any, f: np.ndarray) -> tuple[Any, tf.Tensor]:
    """Return the distribution for f and f itself, in double precision if the likelihood supports it."""
    try:
        wide = tf.cast(f, tf.float64)
        return likelihood.distribution(wide), wide
    except (TypeError, ValueError, tf.errors.InvalidArgumentError):
        narrow = tf.convert_to_tensor(f)
        return likelihood.distribution(narrow), narrow


def _is_identity(shift: np.ndarray, unit: np.ndarray) -> bool:
    return not np.any(np.asarray(shift) != 0.0) and not np.any(np.asarray(unit) != 1.0)


def _numbers(of: Any, f: tf.Tensor) -> np.ndarray:
    return np.asarray(of(f), float)
