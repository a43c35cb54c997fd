"""Draws of functions from q, draws of observations, and the bands around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from varbump._keras import keras
from varbump.checks import check_count, check_inputs, check_likelihood, check_network, check_shares
from varbump.forward import host_seed
from varbump.sampler import DrawSource, Sampler, sampler_of
from varbump.tempering import temperature_of

__all__ = ["Bands", "credible_bands", "predict_bands", "predict_f", "predict_y"]


def predict_f(
    network: keras.Model | DrawSource,
    x: Any,
    *,
    likelihood: Any = None,
    num_draws: int = 100,
    seed: int | None = None,
    chunk_size: int | None = None,
) -> np.ndarray:
    """Draw functions f(x; w), w ~ q: the epistemic uncertainty only.

    Each draw is ONE function over all rows of x: the weights depend on the seed and the number of the draw, never on
    the rows. With the same seed the draws at other rows belong to the same functions, so a caller may go through
    many rows in pieces.

    Parameters
    ----------
    network : tf_keras.Model or source of draws
        A source such as what `varbump.sample_nuts` returns has draws of its own, which take the place of q.
    x : array-like (N, D)
        One-dimensional arrays are taken as one column.
    likelihood : likelihood, optional
        With it the draws are those of E[y | f], ``likelihood.mean(f)``. Without it they are all outputs of the
        network, of which a network for `varbump.likelihoods.HeteroscedasticNormal` has 2 Q: its first Q columns are
        the function, the others raw scales of the noise.
    num_draws : int, default=100
        S.
    seed : int, optional
        TensorFlow's global seed decides without it.
    chunk_size : int, optional
        Rows a compiled call; by default as many as keep its result below 64 MiB. Changes memory, not the draws.

    Returns
    -------
    ndarray (S, N, Q)
        Units of y.

    Raises
    ------
    ValueError
        If x is empty, not finite, not numeric or of the wrong width, a count is below 1, or a source has fewer draws
        than `num_draws`.
    """
    if likelihood is not None:
        check_likelihood(likelihood, "mean")
    x, sampler = _prepare(network, x, num_draws, seed, chunk_size)
    result = np.empty((0,))
    for draws, rows, f in sampler.draws(x):
        f = f if likelihood is None else np.asarray(likelihood.mean(f))
        if f.shape[:2] == (num_draws, len(x)):
            return np.ascontiguousarray(f)
        if not result.size:
            result = np.empty((num_draws, len(x), *f.shape[2:]), f.dtype)
        result[draws, rows] = f
    return result


def predict_y(
    network: keras.Model | DrawSource,
    likelihood: Any,
    x: Any,
    *,
    num_draws: int = 100,
    seed: int | None = None,
    chunk_size: int | None = None,
) -> np.ndarray:
    """Draw observations y = f(x; w) + noise, w ~ q: epistemic and aleatoric uncertainty.

    Draw s belongs to the same function as draw s of `predict_f` with the same seed.

    Parameters
    ----------
    network, x, num_draws, seed, chunk_size
        As in `predict_f`.
    likelihood : likelihood
        The one that the network was trained with.

    Returns
    -------
    ndarray (S, N, Q)
        Units of y.
    """
    check_likelihood(likelihood)
    seed = host_seed(seed)
    f = predict_f(network, x, num_draws=num_draws, seed=seed, chunk_size=chunk_size)
    return _observe(network, likelihood, f, seed, 0)


def _prepare(
    source: keras.Model | DrawSource, x: Any, num_draws: int, seed: int | None, chunk_size: int | None
) -> tuple[np.ndarray, Sampler]:
    network = source.network if isinstance(source, DrawSource) else source
    check_network(network)
    check_count(num_draws, "num_draws")
    if chunk_size is not None:
        check_count(chunk_size, "chunk_size")
    x = check_inputs(network, x)
    if not network.built:
        network(x[:1])
    return x, sampler_of(source, x.shape[1:], num_draws, host_seed(seed), chunk_size)


def _observe(source: Any, likelihood: Any, f: np.ndarray, seed: int, first_row: int) -> np.ndarray:
    noise_seed = tf.constant(np.random.SeedSequence((seed, 1, first_row)).generate_state(2).view(np.int32))
    if hasattr(source, "observe"):  # each member of an ensemble has learned a noise of its own
        return source.observe(likelihood, f, noise_seed)
    return likelihood.sample(f, noise_seed).numpy()


@dataclass(frozen=True)
class Bands:
    """Pointwise summary of draws.

    Attributes
    ----------
    mean, sd : ndarray (N, Q)
        Of the draws, in the units of y.
    lower, upper : dict of float to ndarray (N, Q)
        Ends of the equal-tailed interval of each level.
    temperature : float
        At which the network was trained; other than 1, pictures say so.
    """

    mean: np.ndarray
    sd: np.ndarray
    lower: dict[float, np.ndarray]
    upper: dict[float, np.ndarray]
    temperature: float = 1.0

    @property
    def levels(self) -> tuple[float, ...]:
        """Credible levels, in increasing order."""
        return tuple(sorted(self.lower))


def credible_bands(draws: Any, *, levels: Sequence[float] = (0.5, 0.95), temperature: float = 1.0) -> Bands:
    r"""Mean, standard deviation and equal-tailed intervals of draws, point by point.

    The interval of level c runs from the :math:`(1 - c) / 2` to the :math:`(1 + c) / 2` quantile of the S draws.

    Parameters
    ----------
    draws : array-like (S, N, Q) or (S, N)
        From `predict_f`: epistemic bands. From `predict_y`: predictive bands.
    levels : sequence of float, default=(0.5, 0.95)
        Each in (0, 1).
    temperature : float, default=1.0
        At which the network was trained, if not at 1: pictures of the bands then say so.

    Returns
    -------
    Bands

    Raises
    ------
    ValueError
        If a level is out of range, there are fewer than two draws, or they are no numbers.
    """
    levels = [float(level) for level in check_shares(levels, "levels")] if np.size(levels) else []
    draws = np.asarray(draws)
    if draws.dtype.kind not in "fiub":
        raise ValueError(f"draws must hold numbers, got dtype {draws.dtype}")
    draws = draws[..., None] if draws.ndim == 2 else draws
    if draws.ndim < 2 or len(draws) < 2:
        raise ValueError(f"draws must have shape (S, N, Q) with S of at least 2, got {draws.shape}")
    tails = sorted({round(p, 12) for level in levels for p in ((1 - level) / 2, (1 + level) / 2)})
    quantile = dict(zip(tails, np.quantile(draws, tails, axis=0), strict=True)) if levels else {}
    return Bands(
        mean=draws.mean(axis=0),
        sd=draws.std(axis=0, ddof=1),
        lower={level: quantile[round((1 - level) / 2, 12)] for level in levels},
        upper={level: quantile[round((1 + level) / 2, 12)] for level in levels},
        temperature=float(temperature),
    )


def predict_bands(
    network: keras.Model | DrawSource,
    x: Any,
    *,
    likelihood: Any = None,
    levels: Sequence[float] = (0.5, 0.95),
    num_draws: int = 1000,
    seed: int | None = None,
    chunk_size: int | None = None,
) -> Bands:
    """Bands over any number of rows in bounded memory: draws are reduced piece by piece and never held together.

    Parameters
    ----------
    likelihood : likelihood, optional
        With it the bands are predictive, those of `predict_y`. Without it they are epistemic, those of `predict_f`
        over all outputs of the network, of which a network for `varbump.likelihoods.HeteroscedasticNormal` has 2 Q:
        the first Q columns are bands of the function, the others of raw scales of the noise.
    network, x, num_draws, seed, chunk_size
        As in `predict_f`.
    levels : sequence of float
        As in `credible_bands`.

    Returns
    -------
    Bands
    """
    if likelihood is not None:
        check_likelihood(likelihood)
    seed = host_seed(seed)
    parts = []
    x, sampler = _prepare(network, x, num_draws, seed, chunk_size)
    for rows, f in sampler.chunks(x):
        draws = f if likelihood is None else _observe(network, likelihood, f, seed, rows.start)
        parts.append(credible_bands(draws, levels=levels))
    return Bands(
        mean=np.concatenate([part.mean for part in parts]),
        sd=np.concatenate([part.sd for part in parts]),
        lower={level: np.concatenate([part.lower[level] for part in parts]) for level in parts[0].lower},
        upper={level: np.concatenate([part.upper[level] for part in parts]) for level in parts[0].upper},
        temperature=temperature_of(network),
    )
