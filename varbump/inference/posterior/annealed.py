"""Annealed Hamiltonian Monte Carlo: from draws of the prior to draws of the posterior."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from varbump.core.interrupts import safe_point
from varbump.core.progress import ProgressBar
from varbump.core.random import generator
from varbump.inference.mcmc.chain import STRETCH
from varbump.inference.mcmc.chains import Chains, joined
from varbump.inference.mcmc.cost import MAX_MINUTES
from varbump.inference.posterior.annealing import anneal, temperatures
from varbump.inference.posterior.draws import NearExactDraws
from varbump.inference.posterior.groups import GroupedLikelihood
from varbump.inference.posterior.trajectories import LENGTH, MAX_LEAPFROGS, Trajectories, TrajectoryProgram
from varbump.model.codes import takes_codes
from varbump.model.log_posterior import LogPosterior
from varbump.predict.prior import drawn_weights

__all__ = ["sample_annealed"]

ANNEALING_ROWS = 256
"""Smallest number of groups while the chains are annealed, which only decides where they start."""

MAX_DEVIATION = 0.35
"""Largest sd of the error of a grouped log likelihood, in nats, among the draws of a chain: trajectories without any
error of the integrator are then still accepted with a probability of 0.8."""

STOP_RHAT = 1.01
"""Stricter than the bound for trust, since the best of three moments to stop is taken."""


def sample_annealed(
    target: LogPosterior,
    made: Callable[..., NearExactDraws],
    *,
    num_draws: int,
    num_warmup: int,
    num_chains: int,
    max_minutes: float | None,
    seed: int,
    verbose: int,
) -> NearExactDraws:
    """Anneal, warm up and sample; `made` makes the result from the arguments that are given here."""
    began = time.perf_counter()
    betas = temperatures(len(target.x))
    bar = ProgressBar(
        len(betas) * STRETCH + num_warmup + num_draws, unit="draw", verbose=verbose, text=f"{num_chains} chains"
    )
    chains = _started(target, num_chains, seed, bar.advance)
    size = max(len(target.x) // ANNEALING_ROWS, 1)
    if takes_codes(target.network):  # the middle of a group of codes is no code
        size = 1
    program = _program(target, size, exact=False)
    with chains.pool, bar:
        _check_start(chains, program)
        last = anneal(chains, program, betas)
        safe_point()
        best = _group_size(target, size, last)
        _refuse_if_dear(chains, num_warmup + num_draws, size / best, max_minutes)
        if size > 1:
            program = _program(target, best, exact=True)
            safe_point()
        chains.warm_up(program.run, num_warmup)
        parts: list[Trajectories] = []
        for until in sorted({max(num_draws // 4, 4), max(num_draws // 2, 4), num_draws}):
            parts.append(chains.sample(program.run, until - sum(part.accept.shape[1] for part in parts)))
            drawn = joined(parts)
            draws = made(
                **target.drawn(np.split(drawn.z, np.cumsum(target.sizes)[:-1], axis=-1)),
                method="annealed HMC",
                accept=drawn.accept,
                leapfrogs=drawn.leapfrogs,
                divergent=drawn.divergent,
                num_warmup=len(betas) * STRETCH + num_warmup,
                num_rows=len(target.x) // best,
                seconds=chains.seconds,
                compile_seconds=time.perf_counter() - began - chains.seconds,
            )
            # also computes R-hat and ESS now, while other layers still have the values used in sampling
            if draws.trusted_outside and draws.rhat[draws.in_range].max() <= STOP_RHAT:
                break
    return draws


def _started(target: LogPosterior, num_chains: int, seed: int, report: Callable[[int], None]) -> Chains:
    """Chains at draws of the prior, whose sds are the first scales."""
    weights = drawn_weights(target.layers, target.x[:1], max(num_chains, 100), seed)
    prior = np.concatenate(target.started(weights, generator(seed, 4)), axis=1)
    scale = prior.std(0)
    scale = np.where(np.isfinite(scale) & (scale > 0), scale, 1.0).astype(prior.dtype)
    return Chains(prior[:num_chains], scale, (seed, 3), report, boldness=1.0)


def _program(target: LogPosterior, size: int, *, exact: bool) -> TrajectoryProgram:
    guide = target.log_likelihood if size == 1 else GroupedLikelihood(target, size)
    return TrajectoryProgram(target, guide, target.log_likelihood if exact and size > 1 else guide)


def _check_start(chains: Chains, program: TrajectoryProgram) -> None:
    """Raise a ValueError if the density is not finite where the chains start."""
    for w in chains.u:
        value, gradient = program.density(w)
        if not np.isfinite(value) or not np.isfinite(gradient).all():
            raise ValueError(
                f"The log density of the weights is {value:.4g} at a draw of the prior, or its gradient is not finite "
                f"there; check the scales of x and y, and the prior"
            )


def _group_size(target: LogPosterior, largest: int, draws: np.ndarray) -> int:
    """Largest size of groups whose log likelihood errs by about the same amount for all `draws` (C, S, n) of a chain.

    An error that they share does not matter, since only differences decide which trajectories are accepted.
    """
    thinned = draws[:, :: max(1, STRETCH // 8)]
    weights = [tf.split(tf.constant(w), target.sizes) for w in thinned.reshape(-1, draws.shape[-1])]
    size, exact = largest, np.empty(0)
    while size > 1:
        exact = exact if exact.size else np.array([target.log_likelihood(w).numpy() for w in weights], np.float64)
        grouped = GroupedLikelihood(target, size)
        errors = np.array([grouped(w).numpy() for w in weights], np.float64) - exact
        if errors.reshape(thinned.shape[:2]).std(1).mean() <= MAX_DEVIATION:
            break
        size //= 2
    return max(size, 1)


def _refuse_if_dear(chains: Chains, num: int, ratio: float, max_minutes: float | None) -> None:
    """Raise a ValueError if `num` more draws would take too long, with rows `ratio` times those of the annealing."""
    allowed = MAX_MINUTES if max_minutes is None else max_minutes
    steps = np.mean([min(LENGTH / float(state.step_size), MAX_LEAPFROGS) for state in chains.states])
    seconds = chains.seconds / chains.num_gradients * ratio
    minutes = len(chains.states) * num * steps * seconds / 60
    if minutes > allowed:
        raise ValueError(
            f"HMC would take about {minutes:.2g} minutes: {num:,} draws for each of {len(chains.states)} chains, of "
            f"about {steps:,.0f} gradients each; that is more than max_minutes={allowed:g}. Pass "
            f"max_minutes={np.ceil(1.5 * minutes):.0f} to go on, or fewer draws, fewer rows or a smaller network."
        )
