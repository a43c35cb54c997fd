"""Sample the exact posterior over the weights by the No-U-Turn sampler."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from varbump.core.checks import check_count, check_draws, check_number
from varbump.core.interrupts import safe_point, uninterrupted
from varbump.core.keras import is_built, keras
from varbump.core.progress import ProgressBar
from varbump.core.random import generator, host_seed
from varbump.inference.mcmc.chain import ChainProgram
from varbump.inference.mcmc.chains import Chains
from varbump.inference.mcmc.convergence import checked_test_points, in_range_of
from varbump.inference.mcmc.coordinates import Coordinates
from varbump.inference.mcmc.cost import refuse_if_dear, time_gradient
from varbump.inference.mcmc.draws import PosteriorDraws
from varbump.likelihoods.checks import check_likelihood
from varbump.model.checks import check_data, check_network
from varbump.model.hyper_posterior import check_hyperparameters, log_posterior

__all__ = ["sample_nuts"]


@uninterrupted()
def sample_nuts(
    network: keras.Model,
    likelihood: Any,
    x: Any,
    y: Any,
    *,
    hyperparameters: str = "hold",
    num_draws: int = 500,
    num_warmup: int = 200,
    num_chains: int = 4,
    x_test: Any = None,
    target_accept: float = 0.8,
    max_tree_depth: int = 9,
    max_minutes: float | None = None,
    seed: int | None = None,
    verbose: int = 1,
) -> PosteriorDraws:
    r"""Draw weights from their exact posterior by Markov chains, with the No-U-Turn sampler (NUTS).

    .. math:: p(w | x, y) \propto \prod_n p(y_n | f(x_n; w)) \prod_l p(w_l)

    over the weights w of all variational layers. Everything else keeps its current value: trainable weights of
    other layers and of activations and, unless `hyperparameters="sample"` includes them in what is sampled, learned
    scales of the noise and of priors. Penalties that layers add to a Keras loss are not part of the posterior and are
    ignored.

    Chains start at draws from the network's current q, so fit it first. They move in coordinates in which q has scale
    1. The warm-up adapts the scale of each coordinate and the step size. Chains run in parallel, one per thread, in an
    XLA program that makes 25 draws per call.

    Parameters
    ----------
    network : tf_keras.Model
        Built and fitted. It is not changed.
    likelihood : likelihood
        The likelihood that the network was trained with.
    x, y : array-like (N, D), (N, Q)
        All of the data: every gradient uses all rows.
    hyperparameters : {"hold", "sample"}, default="hold"
        Whether learned scales, of the noise and of priors, keep their values or are sampled with the weights, as in
        `varbump.sample_posterior`.
    num_draws : int, default=500
        Number of draws kept per chain, at least 4.
    num_warmup : int, default=200
        Number of draws per chain that are made before these and discarded, at least 10.
    num_chains : int, default=4
        Number of chains; use at least two, so that R-hat can show that they disagree.
    x_test : array-like (M, D), optional
        Points at which the convergence of f is assessed. By default at most 64 points over the range of x, widened by
        half its width on either side.
    target_accept : float, default=0.8
        Target of the acceptance probability, in (0, 1). Higher values give smaller steps and fewer divergences.
    max_tree_depth : int, default=9
        A draw takes at most 2^max_tree_depth - 1 gradients.
    max_minutes : float, optional
        Bound on the estimated time in minutes; the estimate assumes that every draw takes as many gradients as it
        can. By default the bounds are 10 minutes and 2,000 weights.
    seed : int, optional
        The same seed, machine and versions give the same draws. If omitted, TensorFlow's global seed decides.
    verbose : int, default=1
        0 is silent; otherwise a progress bar is shown on terminals and in notebooks.

    Returns
    -------
    PosteriorDraws
        `predict_f`, `predict_y` and `predict_bands` accept it in place of the network. Print it to see whether the
        chains have converged.

    Raises
    ------
    ValueError
        If the network is not built or has no variational layers, if an argument is out of range, if x or y does not
        fit, if a prior has no density, if the estimated cost, which the message gives, exceeds the bound, or if
        hyperparameters are to be sampled and there are none.
    TypeError
        If `network` is not of tf_keras.
    KeyboardInterrupt
        After Ctrl-C, as soon as the calls under way have ended.

    References
    ----------
    Hoffman and Gelman (2014), "The No-U-Turn Sampler", JMLR 15, algorithm 6.
    """
    sampled = check_hyperparameters(hyperparameters)
    check_network(network)
    check_likelihood(likelihood)
    if not is_built(network):
        raise ValueError("network is not built, so it has no q to start from; fit it first, or call it on some x")
    num_draws, num_warmup = check_draws(num_draws, minimum=4), check_count(num_warmup, "num_warmup", 10)
    num_chains = check_count(num_chains, "num_chains")
    max_tree_depth = check_count(max_tree_depth, "max_tree_depth")
    if not check_number(target_accept, "target_accept", strict=True) < 1.0:
        raise ValueError(f"target_accept must lie between 0 and 1, got {target_accept!r}")
    if max_minutes is not None:
        max_minutes = check_number(max_minutes, "max_minutes", strict=True)
    x, y = check_data(network, likelihood, x, y)
    x_test = checked_test_points(network, x, x_test)
    seed = host_seed(seed)

    safe_point()
    target = log_posterior(network, likelihood, x, y, sampled=sampled, at_present=True)
    coordinates = Coordinates(target.layers, target.dtype, target.sizes[len(target.layers) :])
    start_generator = generator(seed)
    starts = np.stack([coordinates.draw(start_generator) for _ in range(num_chains)])
    bar = ProgressBar(num_warmup + num_draws, unit="draw", verbose=verbose, text=f"{num_chains} chains")
    chains = Chains(starts, np.ones_like(starts[0]), (seed,), bar.advance)
    num_gradients = num_chains * (num_warmup + num_draws) * (2**max_tree_depth - 1)
    began = time.perf_counter()
    safe_point()
    seconds_a_gradient = time_gradient(target, coordinates, starts[0])
    refuse_if_dear(coordinates.num_weights, seconds_a_gradient, num_gradients, chains.num_threads, max_minutes)

    safe_point()
    program = ChainProgram(target, coordinates, max_tree_depth, target_accept)
    program.run(chains.states[0], chains.scale, np.zeros(2, np.int32), 0, True)  # compiles
    compiled_at = time.perf_counter()
    with chains.pool, bar:
        chains.warm_up(program.run, num_warmup)
        kept = chains.sample(program.run, num_draws)
    draws = PosteriorDraws(
        network=network,
        **target.drawn(coordinates.stored(kept.z)),
        x_test=x_test,
        in_range=in_range_of(x, x_test),
        accept=kept.accept,
        divergent=kept.divergent,
        saturated=kept.saturated,
        leapfrogs=kept.leapfrogs,
        step_size=np.array([state.step_size for state in chains.states]),
        num_warmup=num_warmup,
        num_held=target.num_held,
        seconds=time.perf_counter() - compiled_at,
        compile_seconds=compiled_at - began,
    )
    _ = draws.rhat, draws.ess  # now, while other layers still have the values used in sampling
    return draws
