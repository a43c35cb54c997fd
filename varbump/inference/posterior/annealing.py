"""Annealing: chains come from the prior to the posterior while the likelihood gets more and more weight."""

from __future__ import annotations

from functools import partial

import numpy as np

from varbump.inference.mcmc.chain import STRETCH
from varbump.inference.mcmc.chains import Chains
from varbump.inference.posterior.trajectories import TrajectoryProgram

__all__ = ["anneal", "temperatures"]

GROWTH = 1.8
"""Factor between neighbouring weights of the likelihood."""

LENGTH = 2.0
"""Mean duration of a trajectory, in units of the scaled coordinates: chains need not forget where they were."""


def temperatures(num_data: int) -> np.ndarray:
    """Weights of the likelihood, from that of half a row to nearly 1, along which chains are annealed."""
    count = int(np.ceil(np.log(2 * num_data) / np.log(GROWTH)))
    return np.geomspace(0.5 / num_data, 1.0, count + 1)[:-1]


def anneal(chains: Chains, program: TrajectoryProgram, betas: np.ndarray) -> np.ndarray:
    """Give the likelihood more and more weight; return the last draws, (C, STRETCH, n)."""
    last = np.empty(0)
    for beta in betas:
        drawn = chains.run(partial(program.run, beta=beta, length=LENGTH), STRETCH, adapting=True)
        last = drawn.z
        chains.rescale([drawn])
    return last
