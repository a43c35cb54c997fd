"""Draw functions from q, and observations."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from varbump.core.checks import check_count
from varbump.core.keras import keras
from varbump.core.random import host_seed, stateless_seeds
from varbump.likelihoods.checks import check_likelihood
from varbump.model.checks import check_inputs, check_network
from varbump.model.heads import separated
from varbump.predict.sampler import DrawSource, Sampler, sampler_of

__all__ = ["observe", "predict_f", "predict_y", "prepare", "with_likelihood"]


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

    Each draw is ONE function over all rows of x: its weights depend on the seed and the index of the draw, never on
    the rows. With the same seed, draws at other rows belong to the same functions, so many rows can be processed in
    pieces.

    Parameters
    ----------
    network : tf_keras.Model or source of draws
        A source of draws, such as the result of `varbump.sample_nuts`, supplies its own draws instead of q.
    x : array-like (N, D)
        Inputs; a one-dimensional array is treated as one column.
    likelihood : likelihood, optional
        If given, the draws are of E[y | f], ``likelihood.mean(f)``. Otherwise they are all outputs of the network, or,
        for a network that ends in a distribution of y, such as `tfp.layers.IndependentNormal`, the mean of that.
        A network for `varbump.likelihoods.HeteroscedasticNormal` has 2 Q: the first Q columns are the function, the
        others raw scales of the noise.
    num_draws : int, default=100
        S, the number of draws.
    seed : int, optional
        If omitted, TensorFlow's global seed decides.
    chunk_size : int, optional
        Rows per compiled call; by default as many as keep its result below 64 MiB. Affects memory, not the draws.

    Returns
    -------
    ndarray (S, N, Q)
        In units of y.

    Raises
    ------
    ValueError
        If x is empty, not finite, not numeric or of the wrong width, if a count is below 1, or if the source has
        fewer than `num_draws` draws.
    """
    network, likelihood = with_likelihood(network, likelihood, x)
    if likelihood is not None:
        check_likelihood(likelihood, "mean")
    x, sampler = prepare(network, x, num_draws, seed, chunk_size)
    return _functions(sampler, x, likelihood, num_draws)


def _functions(sampler: Sampler, x: np.ndarray, likelihood: Any, num_draws: int) -> np.ndarray:
    result = np.empty((0,))
    for draws, rows, f in sampler.draws(x):
        f = f if likelihood is None else np.asarray(likelihood.mean(f))
        if f.shape[:2] == (num_draws, len(x)):
            return f
        if not result.size:
            result = np.empty((num_draws, len(x), *f.shape[2:]), f.dtype)
        result[draws, rows] = f
    return result


def predict_y(
    network: keras.Model | DrawSource,
    likelihood: Any = None,
    x: Any = None,
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
        The likelihood that the network was trained with. A network that ends in a distribution of y has its own:
        ``predict_y(network, x=x)``.

    Returns
    -------
    ndarray (S, N, Q)
        In units of y.
    """
    if x is None:
        raise TypeError(
            "x is missing: predict_y(network, likelihood, x), or predict_y(network, x=x) for a network "
            "that ends in a distribution of y"
        )
    network, likelihood = with_likelihood(network, likelihood, x)
    check_likelihood(likelihood)
    seed = host_seed(seed)
    x, sampler = prepare(network, x, num_draws, seed, chunk_size)
    return observe(network, likelihood, _functions(sampler, x, None, num_draws), seed, 0)


def with_likelihood(source: Any, likelihood: Any, x: Any) -> tuple[Any, Any]:
    """Separate a network that ends in a distribution, see `varbump.model.heads.separated`; others stay as they are."""
    return separated(source, likelihood, x) if isinstance(source, keras.Model) else (source, likelihood)


def prepare(
    source: keras.Model | DrawSource, x: Any, num_draws: int, seed: int | None, chunk_size: int | None
) -> tuple[np.ndarray, Sampler]:
    """Check x, and make the sampler that draws functions at rows like those of x."""
    network = source.network if isinstance(source, DrawSource) else source
    check_network(network)
    check_count(num_draws, "num_draws")
    if chunk_size is not None:
        check_count(chunk_size, "chunk_size")
    x = check_inputs(network, x)
    if not network.built:
        network(x[:1])
    return x, sampler_of(source, x.shape[1:], num_draws, host_seed(seed), chunk_size)


def observe(source: Any, likelihood: Any, f: np.ndarray, seed: int, first_row: int) -> np.ndarray:
    """Draw y for draws f (S, N, Q), whose first row is row `first_row` of the user's x."""
    noise_seed = tf.constant(stateless_seeds(seed, 1, first_row)[0])
    if hasattr(source, "observe"):  # each member of an ensemble has learned its own noise
        return source.observe(likelihood, f, noise_seed)
    return likelihood.sample(f, noise_seed).numpy()
