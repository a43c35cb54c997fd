"""Draw functions from q, and observations."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from varbump.core.keras import keras
from varbump.core.kinds import kind_of
from varbump.core.random import host_seed, stateless_seeds
from varbump.likelihoods.checks import check_likelihood
from varbump.predict.draws import Draws, draws_of_kind
from varbump.predict.sampler import DrawSource, all_draws
from varbump.predict.units import prepare

__all__ = ["NOISE_ROWS", "expected", "observe", "predict_f", "predict_y"]

NOISE_ROWS = 256
"""Rows whose noise is drawn at once. It is part of the definition of the noise of a row, so it is not an option."""


def predict_f(
    network: keras.Model | DrawSource,
    x: Any,
    *,
    likelihood: Any = None,
    num_draws: int = 100,
    seed: int | None = None,
    chunk_size: int | None = None,
) -> Draws:
    """Draw functions f(x; w), w ~ q: the epistemic uncertainty only.

    Each draw is ONE function over all rows of x: its weights depend on the seed and the index of the draw, never on
    the rows. With the same seed, draws at other rows belong to the same functions, so many rows can be processed in
    pieces.

    Parameters
    ----------
    network : tf_keras.Model, source of draws or VariationalRegressor
        Variational layers of a network may be those of TFP, trained with Keras, whatever their estimator: each draw is
        one of all their weights, from their posteriors. A source of draws, such as the result of `varbump.sample_nuts`,
        supplies its own draws instead of q. A fitted `varbump.VariationalRegressor` takes x as its `predict` does and
        answers in the units of its y, with draws of the expectation of y; its `ensemble_` and `network_` take
        standardised x and answer in standardised units.
        Before training, q is where training starts, not the prior: for that see `varbump.sample_prior`.
    x : array-like (N, D)
        Inputs; a one-dimensional array is treated as one column.
    likelihood : likelihood, optional
        If given, the draws are of E[y | f], ``likelihood.mean(f)``, for an ensemble with what each member has learned.
        Otherwise they are all outputs of the network, or, for a network that ends in a distribution of y, such as
        `tfp.layers.IndependentNormal`, the mean of that. A network for `varbump.likelihoods.HeteroscedasticNormal` has
        2 Q: the first Q columns are the function, the others raw scales of the noise. Left out for a
        `VariationalRegressor`, which has its own.
    num_draws : int, default=100
        S, the number of draws.
    seed : int, optional
        If omitted, TensorFlow's global seed decides.
    chunk_size : int, optional
        Rows per compiled call; by default as many as keep its result below 64 MiB. Affects memory, not the draws.

    Returns
    -------
    ndarray (S, N, Q)
        In units of y. It knows its kind, "epistemic" or "prior", and labels of plots mention it.

    Raises
    ------
    ValueError
        If x is empty, not finite, not numeric or of the wrong width, if a count is below 1 or `num_draws` above a
        million, if the source has fewer than `num_draws` draws, or if a layer draws random numbers that no seed
        reaches.
    TypeError
        If `network` or `likelihood` is not what it must be.

    Warns
    -----
    UserWarning
        If the network belongs to a `VariationalRegressor` and x does not look standardised.

    Examples
    --------
    >>> import varbump as vb
    >>> network = vb.build_network(1, hidden_units=(16,), seed=0)  # not trained yet
    >>> vb.predict_f(network, [0.0, 0.5, 1.0], num_draws=10, seed=0).shape
    (10, 3, 1)
    """
    if likelihood is not None:
        check_likelihood(likelihood, "mean")
    ready = prepare(network, x, num_draws, seed, chunk_size, likelihood)
    likelihood = ready.likelihood(likelihood) if ready.answers_in_y else likelihood
    f = all_draws(ready.sampler, num_draws, ready.x)
    f = f if likelihood is None else expected(ready.source, likelihood, f)
    return draws_of_kind(ready.in_units(f), kind_of(ready.source, observed=False))


def predict_y(
    network: keras.Model | DrawSource,
    likelihood: Any = None,
    x: Any = None,
    *,
    num_draws: int = 100,
    seed: int | None = None,
    chunk_size: int | None = None,
) -> Draws:
    """Draw observations y = f(x; w) + noise, w ~ q: epistemic and aleatoric uncertainty.

    Draw s belongs to the same function as draw s of `predict_f` with the same seed. Its noise depends on the seed, the
    draw and the row, not on `chunk_size`.

    Parameters
    ----------
    network, num_draws, seed, chunk_size
        As in `predict_f`.
    likelihood : likelihood
        The likelihood that the network was trained with. An ensemble, a `VariationalRegressor` and a network that ends
        in a distribution of y have their own and take x in its place: ``predict_y(regressor, x)``.
    x : array-like (N, D)

    Returns
    -------
    ndarray (S, N, Q)
        In units of y. It knows its kind, "predictive" or "prior predictive", and labels of plots mention it.

    Raises
    ------
    ValueError, TypeError
        As `predict_f`; also if the likelihood is missing.
    """
    if x is None and not hasattr(likelihood, "nll"):
        likelihood, x = None, likelihood
    if x is None:
        raise TypeError("x is missing: predict_y(network, likelihood, x)")
    seed = host_seed(seed)
    ready = prepare(network, x, num_draws, seed, chunk_size, likelihood)
    y = observe(ready.source, ready.likelihood(likelihood), all_draws(ready.sampler, num_draws, ready.x), seed, 0)
    return draws_of_kind(ready.in_units(y), kind_of(ready.source, observed=True))


def expected(source: Any, likelihood: Any, f: np.ndarray) -> np.ndarray:
    """E[y | f] for draws f (S, N, K), (S, N, Q)."""
    if hasattr(source, "expect"):  # each member of an ensemble has learned its own link and noise
        return source.expect(likelihood, f)
    return np.asarray(likelihood.mean(f))


def observe(source: Any, likelihood: Any, f: np.ndarray, seed: int, first_row: int) -> np.ndarray:
    """Draw y for draws f (S, N, K), whose first row is row `first_row` of the user's x, a multiple of NOISE_ROWS."""
    parts = []
    for start in range(0, f.shape[1], NOISE_ROWS):
        noise_seed = tf.constant(stateless_seeds(seed, 1, first_row + start)[0])
        rows = f[:, start : start + NOISE_ROWS]
        if hasattr(source, "observe"):  # each member of an ensemble has learned its own noise
            parts.append(source.observe(likelihood, rows, noise_seed))
        else:
            parts.append(likelihood.sample(rows, noise_seed).numpy())
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
