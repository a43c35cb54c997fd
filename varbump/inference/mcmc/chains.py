"""All chains of a run, advanced a number of draws at a time: warmed up, and sampled."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from varbump.core.interrupts import safe_point
from varbump.core.random import stateless_seeds
from varbump.core.threads import num_cores
from varbump.inference.mcmc.chain import STRETCH, ChainState
from varbump.inference.mcmc.warmup import adapted_scale

__all__ = ["Advance", "Chains", "joined"]

FIRST_STEP_SIZE = 0.1

SCALES_UNTIL = 0.7
"""Fraction of the warm-up in which scales are adapted; in the rest only the step size is."""

Advance = Callable[[ChainState, np.ndarray, np.ndarray, int, bool], tuple[ChainState, Any]]
"""Program of one chain: from its state, the scale, a seed, the number of draws and whether the step size is adapted to
the next state and the draws, a named tuple of arrays (num, ...) that has `z`, `gradient` and `leapfrogs`."""


class Chains:
    """Chains, each in a thread of its own, that share the scales of their coordinates z = u / scale.

    Parameters
    ----------
    starts : ndarray (C, n)
        Coordinates u at which the chains start.
    scale : ndarray (n,)
        Initial scale of each coordinate.
    seeds : tuple of int
        Beginning of the path of all seeds.
    report : callable
        Told the number of draws of each chain whenever some have been made.
    boldness : float, default=10.0
        As in `ChainState.start`.
    """

    def __init__(
        self,
        starts: np.ndarray,
        scale: np.ndarray,
        seeds: tuple[int, ...],
        report: Callable[[int], Any],
        boldness: float = 10.0,
    ) -> None:
        self.scale, self._boldness = scale, boldness
        self.states = [ChainState.start(start / scale, FIRST_STEP_SIZE, boldness) for start in starts]
        self.num_gradients, self.seconds = 0, 0.0
        self._seeds, self._num_stretches, self._report = seeds, 0, report
        self.pool = ThreadPoolExecutor(self.num_threads)

    @property
    def num_threads(self) -> int:
        """Number of chains that are advanced at once."""
        return min(len(self.states), num_cores())

    @property
    def u(self) -> np.ndarray:
        """Present coordinates (C, n)."""
        return np.stack([state.z for state in self.states]) * self.scale

    def warm_up(self, advance: Advance, num: int) -> None:
        """Adapt the scales, from the later half of all draws so far, and the step sizes."""
        windows: list[Any] = []
        for start in range(0, num, STRETCH):
            windows.append(self.run(advance, min(STRETCH, num - start), adapting=True))
            if start + STRETCH <= SCALES_UNTIL * num:
                self.rescale(windows[-max(len(windows) // 2, 1) :])
        # sample at the averaged step size: the last one is still exploring
        self.states = [state._replace(step_size=np.exp(state.averaged)) for state in self.states]

    def sample(self, advance: Advance, num: int) -> Any:
        """Make draws to keep, without adaptation; arrays (C, num, ...), without gradients."""
        parts = [self.run(advance, min(STRETCH, num - start), adapting=False) for start in range(0, num, STRETCH)]
        return joined([part._replace(gradient=part.gradient[:, :, :0]) for part in parts])

    def run(self, advance: Advance, num: int, *, adapting: bool) -> Any:
        """Make the next `num` draws, at most `STRETCH`; arrays (C, num, ...), with u in place of z."""
        safe_point()
        number, self._num_stretches = self._num_stretches, self._num_stretches + 1
        began = time.perf_counter()

        def one(chain: int) -> tuple[ChainState, Any]:
            (seed,) = stateless_seeds(*self._seeds, chain, number)
            return advance(self.states[chain], self.scale, seed, num, adapting)

        self.states, parts = map(list, zip(*self.pool.map(one, range(len(self.states))), strict=True))
        drawn = type(parts[0])(*(np.stack(part) for part in zip(*parts, strict=True)))
        self.num_gradients += int(drawn.leapfrogs.sum())
        self.seconds += time.perf_counter() - began
        self._report(num)
        return drawn._replace(z=drawn.z * self.scale, gradient=drawn.gradient / self.scale)

    def rescale(self, windows: Sequence[Any]) -> None:
        """Adapt the scales to draws that `run` has made, and start the adaptation of the step sizes afresh."""
        drawn = joined(windows)
        draws, gradients = (part.reshape(-1, len(self.scale)) for part in (drawn.z, drawn.gradient))
        old, self.scale = self.scale, adapted_scale(draws, gradients, self.scale)
        self.states = [ChainState.start(s.z * old / self.scale, s.step_size, self._boldness) for s in self.states]


def joined(parts: Sequence[Any]) -> Any:
    """Join consecutive draws of all chains."""
    return type(parts[0])(*(np.concatenate(part, axis=1) for part in zip(*parts, strict=True)))
