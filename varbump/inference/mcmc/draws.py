"""Draws from the posterior over the weights, and whether they can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from rich.console import Console

from varbump.core.keras import keras
from varbump.core.printed import Table
from varbump.inference.mcmc.convergence import ess_of, rhat_of
from varbump.predict.stored import StoredDraws

__all__ = ["PosteriorDraws"]

MAX_RHAT = 1.05
MIN_ESS = 100.0


@dataclass(frozen=True, eq=False, repr=False)
class PosteriorDraws(StoredDraws):
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

    @property
    def num_chains(self) -> int:
        """Number of Markov chains, each started at a different draw of q."""
        return self.weights[0].shape[0]

    @property
    def num_draws(self) -> int:
        """Number of draws per chain."""
        return self.weights[0].shape[1]

    @property
    def num_weights(self) -> int:
        """Number of weights in one draw, over all layers."""
        return sum(w.shape[-1] for w in self.weights)

    @property
    def num_divergent(self) -> int:
        """Number of draws whose trajectory diverged."""
        return int(self.divergent.sum())

    @cached_property
    def rhat(self) -> np.ndarray:
        """Split R-hat of f at `x_test`, shape (M, Q); above 1.05 the chains disagree."""
        return rhat_of(self._f_test)

    @cached_property
    def ess(self) -> np.ndarray:
        """Effective sample size of the mean of f at `x_test`, shape (M, Q), over all chains."""
        return ess_of(self._f_test)

    @cached_property
    def _f_test(self) -> np.ndarray:
        """Draws of f, shape (num_draws, num_chains, M, Q)."""
        sampler = self.sampler(self.x_test.shape[1:], self.num_chains * self.num_draws)
        f = np.concatenate([f for _, f in sampler.chunks(self.x_test)], axis=1)
        return f.reshape(self.num_draws, self.num_chains, *f.shape[1:])

    @property
    def converged(self) -> bool:
        """Whether R-hat is at most 1.05 and the ESS at least 100 everywhere in `x_test`."""
        return not self._bad.any()

    @property
    def _bad(self) -> np.ndarray:
        return np.logical_not((self.rhat <= MAX_RHAT) & (self.ess >= MIN_ESS))  # nan is bad too

    def _chosen(self, num_draws: int) -> list[np.ndarray]:
        """Weights (num_draws, n) of each layer: chains in turn, evenly spread over each."""
        chains, times = self._spread(num_draws)
        return [w[chains, times] for w in self.weights]

    def _spread(self, num_draws: int) -> tuple[np.ndarray, np.ndarray]:
        """Chains and times of `num_draws` draws: chains in turn, and times evenly spaced in each chain."""
        available = self.num_chains * self.num_draws
        if num_draws > available:
            raise ValueError(
                f"num_draws={num_draws:,}, but there are only {available:,} draws ({self.num_chains} chains of "
                f"{self.num_draws:,}); ask for fewer, or sample more"
            )
        number, chains = np.divmod(np.arange(num_draws), self.num_chains)
        of_chain = np.bincount(chains, minlength=self.num_chains)[chains]
        return chains, ((number + 0.5) * self.num_draws / of_chain).astype(int)

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
        if not bad.any():
            return (
                f"The {self.num_chains} chains agree about f at all {len(self.x_test)} test points: the draws can be "
                f"used as draws from the posterior.{diverged}"
            )
        rows = bad.reshape(len(self.x_test), -1).any(1)
        where = "only outside the range of the data" if not np.any(rows & self.in_range) else "inside the data too"
        doubled = f"num_draws={2 * self.num_draws}, num_warmup={2 * self.num_warmup}"
        deeper = " or a higher max_tree_depth, which most trajectories reached" if self.saturated.mean() > 0.5 else ""
        return (
            f"Not converged: at {rows.sum()} of {len(self.x_test)} test points, {where}, R-hat is above {MAX_RHAT} or "
            f"the effective sample size below {MIN_ESS:.0f}. Means and bands there are not yet those of the posterior. "
            f"Sample longer, {doubled}{deeper}.{diverged}"
        )

    def __rich_console__(self, console: Console, options: Any) -> Any:
        table = Table(title="Draws from the posterior", title_justify="left")
        table.add_column("")
        for column in ("points", "R-hat of f, worst", "ESS of f, worst", "ESS of f, median"):
            table.add_column(column, justify="right")
        for name, rows in (("in the range of the data", self.in_range), ("outside", ~self.in_range)):
            if rows.any():
                rhat, ess = self.rhat[rows].max(), self.ess[rows]
                table.add_row(name, f"{rows.sum()}", f"{rhat:.3f}", f"{ess.min():,.0f}", f"{np.median(ess):,.0f}")
        yield table
        yield (
            f"{self.num_chains} chains of {self.num_draws:,} draws after {self.num_warmup:,} of warm-up, "
            f"{self.num_weights:,} weights, {self.seconds:.0f} s and {self.compile_seconds:.0f} s to compile. "
            f"Acceptance {self.accept.mean():.2f}, step size {self.step_size.mean():.3g}, "
            f"{self.leapfrogs.mean():,.0f} leapfrog steps a draw, {self.num_divergent:,} divergent, "
            f"{self.saturated.mean():.0%} at the greatest tree depth.\n"
        )
        if self.num_held:
            yield (
                f"{self.num_held:,} trainable numbers outside of the variational layers' weights were held at their "
                f"present values.\n"
            )
        yield self.judgement
