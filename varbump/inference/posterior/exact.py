"""Independent draws from the posterior of models that are linear in their weights, with normal noise and prior."""

from __future__ import annotations

from typing import Any

import numpy as np

from varbump.core.random import generator
from varbump.inference.vi.linear import is_small, linear_model, normal_prior
from varbump.model.log_posterior import LogPosterior

__all__ = ["exact_draws"]


def exact_draws(target: LogPosterior, num: int, seed: int) -> np.ndarray | None:
    r"""Draw weights (num, n) from the posterior if it is normal in closed form; otherwise return None.

    .. math:: w = m + \Lambda^{-1/2} z

    with the mean m and the precision of `LinearModel.posterior`, and standard normal z.
    """
    likelihood: Any = target.likelihood
    num_targets = target.y.shape[-1]
    best_scale = getattr(likelihood, "best_scale", None)
    if len(target.layers) != 1 or best_scale is None or best_scale(np.ones(num_targets)) is None:
        return None
    prior, (size,) = target.layers[0].prior(None), target.num_weights
    of_prior = normal_prior(prior)
    if of_prior is None or target.y.shape.rank != 2:
        return None
    if not is_small(size, len(target.x), num_targets):
        return None
    x, y = target.x.numpy(), target.y.numpy()
    model = linear_model(target, size, x, y)
    if model is None:
        return None
    scale = np.broadcast_to(likelihood.scale, num_targets).astype(np.float64)
    mean, precision = model.posterior(scale, *of_prior)
    noise = generator(seed, 1).standard_normal((size, num))
    draws = mean[:, None] + np.linalg.solve(np.linalg.cholesky(precision).T, noise)
    return draws.T.astype(x.dtype)
