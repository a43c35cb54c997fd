"""Independent draws from the posterior of models that are linear in their weights, with normal noise and prior."""

from __future__ import annotations

from typing import Any

import numpy as np
from tensorflow_probability import distributions as tfd

from varbump.core.random import generator
from varbump.inference.vi.linear import linear_model
from varbump.model.log_posterior import LogPosterior

__all__ = ["exact_draws"]

MAX_WEIGHTS, MAX_CELLS = 500, 50_000_000
"""Bounds on the number of weights, and on the size of the matrix of responses."""


def exact_draws(target: LogPosterior, num: int, seed: int) -> np.ndarray | None:
    r"""Draw weights (num, n) from the posterior if it is normal in closed form; otherwise return None.

    .. math:: \Lambda = J^T J / \sigma^2 + \operatorname{diag}(s_0^{-2}), \quad
              w = \Lambda^{-1} (J^T (y - f_0) / \sigma^2 + m_0 / s_0^2) + \Lambda^{-1/2} z

    for f = f_0 + J w (Bishop 2006, "Pattern Recognition and Machine Learning", eq. 3.50).
    """
    likelihood: Any = target.likelihood
    num_targets = target.y.shape[-1]
    best_scale = getattr(likelihood, "best_scale", None)
    if len(target.layers) != 1 or best_scale is None or best_scale(np.ones(num_targets)) is None:
        return None
    prior, (size,) = target.layers[0].prior(None), target.num_weights
    if not isinstance(prior, tfd.MultivariateNormalDiag) or size > MAX_WEIGHTS:
        return None
    if (size + 1) * len(target.x) * num_targets > MAX_CELLS or target.y.shape.rank != 2:
        return None
    x, y = target.x.numpy(), target.y.numpy()
    model = linear_model(target, size, x, y)
    if model is None:
        return None
    loc, variance = (np.asarray(value, np.float64) for value in (prior.mean(), prior.variance()))
    scale = np.broadcast_to(likelihood.scale, num_targets).astype(np.float64)
    factor = len(x) / scale**2  # (Q,)
    precision = np.tensordot(factor, model.gram, 1) + np.diag(1.0 / variance)
    mean = np.linalg.solve(precision, factor @ model.moment + loc / variance)
    noise = generator(seed, 1).standard_normal((size, num))
    draws = mean[:, None] + np.linalg.solve(np.linalg.cholesky(precision).T, noise)
    return draws.T.astype(x.dtype)
