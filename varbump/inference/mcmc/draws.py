"""Draws from the posterior over the weights, and whether they can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console

from varbump.core.keras import keras
from varbump.core.printed import Table
from varbump.inference.mcmc.chain_draws import ChainDraws

__all__ = ["PosteriorDraws"]

MAX_RHAT = 1.05
MIN_ESS = 100.0


@dataclass(frozen=True, eq=False, repr=False)
class PosteriorDraws(ChainDraws):
    """Draws w ~ p(w | x, y) from several Markov chains; prints as a table with a judgement.

    `predict_f`, `predict_y` and `predict_bands` accept it in place of the network and use its draws. If fewer are
    requested, they are spread evenly over chains and time, whatever the seed.

    Attributes
    ----------
    network : tf_keras.Model
        Network that the weights belong to. Its q does not affect the draws.
    weights : tuple of ndarray (num_chains, num_draws, n)
        Weights of each variational layer in the order in which they are called, kernel before bias.
    x_test : ndarray (M, D)
        Points at which convergence is assessed: R-hat and ESS are those of f there.
    in_range : ndarray (M,) of bool
        Whether each of these points lies in the range of the data.
    accept : ndarray (num_chains, num_draws)
        Mean acceptance probability of each trajectory.
    divergent, saturated : ndarray (num_chains, num_draws) of bool
        Whether the energy of a trajectory diverged, and whether it reached `max_tree_depth` before turning back.
    leapfrogs : ndarray (num_chains, num_draws)
        Number of gradients that each draw took.
    step_size : ndarray (num_chains,)
    num_warmup : int
        Number of warm-up draws per chain, which were discarded.
    num_held : int
        Number of trainable values that are not weights of a variational layer and were held fixed.
    seconds, compile_seconds : float
        Time for warm-up and sampling, and for compilation.
    prior_scales : tuple of ndarray (num_chains, num_draws, G) or None
        Scales of the prior of each layer, for each of its G groups of weights, if they were sampled; otherwise None.
    noise_scales : ndarray (num_chains, num_draws, Q) or None
        Scale of the noise, or dispersion, if it was sampled; one column if it is the same for all targets.
    """

    network: keras.Model
    weights: tuple[np.ndarray, ...]
    x_test: np.ndarray
    in_range: np.ndarray
    accept: np.ndarray
    divergent: np.ndarray
    saturated: np.ndarray
    leapfrogs: np.ndarray
    step_size: np.ndarray
    num_warmup: int
    num_held: int
    seconds: float
    compile_seconds: float
    prior_scales: tuple[np.ndarray | None, ...] = ()
    noise_scales: np.ndarray | None = None

    @property
    def num_divergent(self) -> int:
        """Number of draws whose trajectory diverged."""
        return int(self.divergent.sum())

    @property
    def converged(self) -> bool:
        """Whether R-hat is at most 1.05 and the ESS at least 100 everywhere in `x_test`, and for sampled noise."""
        return not self._bad.any() and self._noise_converged

    @property
    def _noise_converged(self) -> bool:
        return self.noise_rhat <= MAX_RHAT and self.noise_ess >= MIN_ESS

    @property
    def _bad(self) -> np.ndarray:
        return np.logical_not((self.rhat <= MAX_RHAT) & (self.ess >= MIN_ESS))  # nan is bad too

    @property
    def judgement(self) -> str:
        """Whether the draws can be trusted, and what to do if not."""
        bad = self._bad
        share = self.num_divergent / self.divergent.size
        diverged = (
            f" {share:.1%} of the trajectories diverged, so narrow places of the posterior may have been left out: "
            f"raise target_accept."
            if share > 0.02
            else ""
        )
        if self.converged:
            return (
                f"The {self.num_chains} chains agree about f at all {len(self.x_test)} test points: the draws can be "
                f"used as draws from the posterior.{diverged}"
            )
        doubled = f"num_draws={2 * self.num_draws}, num_warmup={2 * self.num_warmup}"
        if not bad.any():
            return (
                f"Not converged: R-hat of the scale of the noise is above {MAX_RHAT} or its effective sample size "
                f"below {MIN_ESS:.0f}. Sample longer, {doubled}.{diverged}"
            )
        rows = bad.reshape(len(self.x_test), -1).any(1)
        where = "only outside the range of the data" if not np.any(rows & self.in_range) else "inside the data too"
        deeper = " or a higher max_tree_depth, which most trajectories reached" if self.saturated.mean() > 0.5 else ""
        return (
            f"Not converged: at {rows.sum()} of {len(self.x_test)} test points, {where}, R-hat is above {MAX_RHAT} or "
            f"the effective sample size below {MIN_ESS:.0f}. Means and bands there are not yet those of the posterior. "
            f"Sample longer, {doubled}{deeper}.{diverged}"
        )

    def __rich_console__(self, console: Console, options: Any) -> Any:
        table = Table(title="Draws from the posterior", title_justify="left")
        table.add_column("")
        for column in ("points", "worst R-hat", "worst ESS", "median ESS"):
            table.add_column(column, justify="right")
        for row in self._rows():
            table.add_row(*row)
        yield table
        yield (
            f"{self.num_chains} chains of {self.num_draws:,} draws after {self.num_warmup:,} of warm-up, "
            f"{self.num_weights:,} weights, {self.seconds:.0f} s and {self.compile_seconds:.0f} s to compile. "
            f"Acceptance {self.accept.mean():.2f}, step size {self.step_size.mean():.3g}, "
            f"{self.leapfrogs.mean():,.0f} leapfrog steps a draw, {self.num_divergent:,} divergent, "
            f"{self.saturated.mean():.0%} at the greatest tree depth.\n"
        )
        yield from self._held()
        yield self.judgement
