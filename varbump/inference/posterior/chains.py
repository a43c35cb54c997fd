"""All chains of a run: annealed from the prior, warmed up, and sampled."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from varbump.core.interrupts import safe_point
from varbump.core.random import stateless_seeds
from varbump.inference.mcmc.chain import STRETCH, ChainState
from varbump.inference.mcmc.warmup import adapted_scale
from varbump.inference.posterior.trajectories import Trajectories, TrajectoryProgram

__all__ = ["Chains", "joined", "temperatures"]

FIRST_STEP_SIZE = 0.1

GROWTH = 1.8
"""Factor between neighbouring weights of the likelihood when the chains are annealed."""

LENGTH = 4.0
"""Mean duration of a trajectory, in units of the scaled coordinates."""

ANNEALING_LENGTH = 2.0
"""The same while the chains are annealed: they need not forget where they were."""

SCALES_UNTIL = 0.7
"""Fraction of the warm-up in which scales are adapted; in the rest only the step size is."""


def temperatures(num_data: int) -> np.ndarray:
    """Weights of the likelihood, from that of half a row to nearly 1, along which chains are annealed."""
    count = int(np.ceil(np.log(2 * num_data) / np.log(GROWTH)))
    return np.geomspace(0.5 / num_data, 1.0, count + 1)[:-1]


class Chains:
    """Chains, each in a thread of its own, that share the scales of their coordinates.

    Parameters
    ----------
    starts : ndarray (C, n)
        Weights at which the chains start: draws of the prior.
    scale : ndarray (n,)
        Initial scale of each weight.
    seed : int
    num_threads : int
    advance : callable
        Told the number of draws of each chain whenever some have been made.
    """

    def __init__(
        self, starts: np.ndarray, scale: np.ndarray, seed: int, num_threads: int, advance: Callable[[int], None]
    ) -> None:
        self.scale = scale
        self.states = [ChainState.start(start / scale, FIRST_STEP_SIZE, 1.0) for start in starts]
        self.num_gradients, self.seconds = 0, 0.0
        self._seed, self._num_stretches, self._advance = seed, 0, advance
        self.pool = ThreadPoolExecutor(num_threads)

    @property
    def weights(self) -> np.ndarray:
        """Present weights (C, n)."""
        return np.stack([state.z for state in self.states]) * self.scale

    def anneal(self, program: TrajectoryProgram, betas: np.ndarray) -> np.ndarray:
        """Give the likelihood more and more weight; return the last draws, (C, STRETCH, n)."""
        last = np.empty(0)
        for beta in betas:
            drawn = self._run(program, STRETCH, beta, ANNEALING_LENGTH, adapt=True)
            last = drawn.z * self.scale
            self._rescale([(last, drawn.gradient / self.scale)])
        return last

    def warm_up(self, program: TrajectoryProgram, num: int) -> None:
        """Adapt the scales, from the later half of all draws so far, and the step sizes."""
        windows: list[tuple[np.ndarray, np.ndarray]] = []
        for start in range(0, num, STRETCH):
            drawn = self._run(program, min(STRETCH, num - start), 1.0, LENGTH, adapt=True)
            windows.append((drawn.z * self.scale, drawn.gradient / self.scale))
            if start + STRETCH <= SCALES_UNTIL * num:
                self._rescale(windows[-max(len(windows) // 2, 1) :])
        # sample at the averaged step size: the last one is still exploring
        self.states = [state._replace(step_size=np.exp(state.averaged)) for state in self.states]

    def sample(self, program: TrajectoryProgram, num: int) -> Trajectories:
        """Make draws to keep, without adaptation; arrays (C, num, ...), with weights w in place of z."""
        parts = []
        for start in range(0, num, STRETCH):
            drawn = self._run(program, min(STRETCH, num - start), 1.0, LENGTH, adapt=False)
            parts.append(drawn._replace(z=drawn.z * self.scale, gradient=drawn.gradient[:, :0]))
        return joined(parts)

    def _rescale(self, windows: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
        draws, gradients = (np.concatenate(part, 1).reshape(-1, len(self.scale)) for part in zip(*windows, strict=True))
        old, self.scale = self.scale, adapted_scale(draws, gradients, self.scale)
        self.states = [ChainState.start(s.z * old / self.scale, s.step_size, 1.0) for s in self.states]

    def _run(self, program: TrajectoryProgram, num: int, beta: float, length: float, *, adapt: bool) -> Trajectories:
        safe_point()
        number, self._num_stretches = self._num_stretches, self._num_stretches + 1
        began = time.perf_counter()

        def one(chain: int) -> tuple[ChainState, Trajectories]:
            (seed,) = stateless_seeds(self._seed, 3, chain, number)
            return program.run(self.states[chain], self.scale, beta, length, seed, num, adapt)

        self.states, parts = map(list, zip(*self.pool.map(one, range(len(self.states))), strict=True))
        drawn = Trajectories(*(np.stack(part) for part in zip(*parts, strict=True)))
        self.num_gradients += int(drawn.leapfrogs.sum())
        self.seconds += time.perf_counter() - began
        self._advance(num)
        return drawn


def joined(parts: Sequence[Any]) -> Trajectories:
    """Join consecutive draws of all chains."""
    return Trajectories(*(np.concatenate(part, axis=1) for part in zip(*parts, strict=True)))
