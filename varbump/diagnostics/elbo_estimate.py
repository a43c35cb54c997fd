"""Estimate of the evidence lower bound of a trained network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from varbump.core.checks import check_draws
from varbump.core.keras import float_dtype, is_built, keras
from varbump.core.random import host_seed, standard_normal, stateless_seeds
from varbump.forward.apply import apply, rehearse
from varbump.forward.elbo import negative_elbo
from varbump.forward.programs import program
from varbump.forward.stateless import all_variables, at, key
from varbump.forward.structure import likelihood_structure, network_structure
from varbump.likelihoods.checks import check_likelihood
from varbump.model.checks import check_data, check_network
from varbump.model.heads import separated

__all__ = ["ElboEstimate", "elbo_terms", "estimate_elbo"]


@dataclass(frozen=True)
class ElboEstimate:
    """Result of `varbump.estimate_elbo`.

    Attributes
    ----------
    elbo : float
        In nats, for all N observations together; a lower bound on the log evidence log p(y | x).
    standard_error : float
        Standard error of `elbo` (nats), from the spread over the draws.
    loss, nll : float
        ``-elbo / N`` and the mean negative log-likelihood (nats per observation).
    kl : float
        In nats.
    """

    elbo: float
    standard_error: float
    loss: float
    nll: float
    kl: float


def estimate_elbo(
    network: keras.Model, likelihood: Any, x: Any, y: Any, *, num_draws: int = 100, seed: int | None = None
) -> ElboEstimate:
    r"""Estimate the ELBO of the current weights from draws w ~ q, each evaluated on all data.

    .. math:: \mathrm{ELBO} = \operatorname{E}_q[\log p(y | x, w) + \log p(w) - \log q(w)]

    Densities are evaluated at the draws, even if the KL has a closed form: the closer q is to the exact posterior, the
    less the terms vary from draw to draw, and at the exact posterior each draw gives the log evidence.

    Parameters
    ----------
    network, likelihood, x, y
        As in `varbump.fit`.
    num_draws : int, default=100
    seed : int, optional

    Returns
    -------
    ElboEstimate

    Raises
    ------
    ValueError, TypeError
        As `varbump.fit`.
    """
    check_draws(num_draws, minimum=2)
    nll, kl = elbo_terms(network, likelihood, x, y, num_draws=num_draws, seed=seed)
    elbos, num_data = -(nll + kl), len(x)
    return ElboEstimate(
        elbo=float(elbos.mean()),
        standard_error=float(elbos.std(ddof=1) / np.sqrt(num_draws)),
        loss=float(negative_elbo(nll.mean() / num_data, kl.mean(), num_data)),
        nll=float(nll.mean() / num_data),
        kl=float(kl.mean()),
    )


def elbo_terms(
    network: keras.Model, likelihood: Any, x: Any, y: Any, *, num_draws: int, seed: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Compute -log p(y | x, w) and log q(w) - log p(w) of draws w ~ q, in nats, shape (S,) each.

    The negative of their sum is log p(y, w | x) - log q(w), the log ratio of importance sampling.
    """
    network, likelihood = separated(network, likelihood, x)
    check_network(network)
    check_likelihood(likelihood)
    x, y = check_data(network, likelihood, x, y)
    if not is_built(network):
        network(x[:1])
    dtype = tf.as_dtype(float_dtype(network))
    size = rehearse(network, x.shape).num_noise
    variables = all_variables(network, likelihood)

    def all_draws(seeds: Any, x: Any, y: Any, values: Any) -> tuple[tf.Tensor, tf.Tensor]:
        given = {key(v): value for v, value in zip(variables, values, strict=True)}

        def one(args: Any) -> tuple[tf.Tensor, tf.Tensor]:
            noise, seed_of_draw = args
            with at(given):
                applied = apply(network, x, noise=noise, seed=seed_of_draw, exact_kl=False)
                nll = tf.reduce_sum(likelihood.nll(y, applied.f))
            return tf.cast(nll, dtype), tf.cast(applied.kl, dtype)

        noise = standard_normal([num_draws, size], seeds[0], dtype)
        return tf.map_fn(one, (noise, seeds), fn_output_signature=(dtype, dtype))

    structure = network_structure(network), likelihood_structure(likelihood)
    run = program("estimate the ELBO", structure, lambda: all_draws, network)
    nll, kl = run(stateless_seeds(host_seed(seed), 2, count=num_draws), x, y, variables)
    return np.asarray(nll, float), np.asarray(kl, float)
