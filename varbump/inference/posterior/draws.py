"""Near-exact draws of the weights, how they were made, and how far they can be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rich.console import Console

from varbump.core.keras import keras
from varbump.core.printed import Table
from varbump.inference.mcmc.chain_draws import ChainDraws

__all__ = ["NearExactDraws"]

MAX_RHAT, MAX_RHAT_OUTSIDE = 1.02, 1.05
"""Outside of the data the chains must agree less closely: there the posterior is wide and depends on the prior."""

MIN_ESS = 200.0
"""With so many effective draws the error of a mean is 0.07 posterior sds, and that of an sd 5 %."""


@dataclass(frozen=True, eq=False, repr=False)
class NearExactDraws(ChainDraws):
    """Draws w ~ p(w | x, y), the result of `varbump.sample_posterior`; prints as a table with a judgement.

    `predict_f`, `predict_y` and `predict_bands` accept it in place of the network and use its draws. If fewer are
    requested, they are spread evenly over chains and time, whatever the seed.

    Attributes
    ----------
    network : tf_keras.Model
        Network that the weights belong to. Its q does not affect the draws.
    weights : tuple of ndarray (num_chains, num_draws, n)
        Weights of each variational layer in the order in which they are called, kernel before bias.
    method : {"closed form", "annealed HMC"}
        How the draws were made. Those of the closed form are independent of each other.
    x_test : ndarray (M, D)
        Points at which convergence is assessed: R-hat and ESS are those of f there.
    in_range : ndarray (M,) of bool
        Whether each of these points lies in the range of the data: between the smallest and the largest value of each
        column, gaps included.
    accept, leapfrogs, divergent : ndarray (num_chains, num_draws)
        Acceptance probability of each trajectory, the number of gradients that it took, and whether it diverged.
    num_warmup : int
        Draws per chain that were made before these, annealing included, and discarded.
    num_data, num_rows : int
        N, and the number of rows at which a gradient evaluates the network. If it is smaller, rows with similar x are
        grouped for the gradients; whether a trajectory is accepted is decided by all rows.
    num_held : int
        Number of trainable values that are not weights of a variational layer and were held fixed.
    seconds, compile_seconds : float
        Time for sampling, and for all else, which is mostly compilation.
    prior_scales : tuple of ndarray (num_chains, num_draws, G) or None
        Scales of the prior of each layer, for each of its G groups of weights, if they were sampled; otherwise None.
    noise_scales : ndarray (num_chains, num_draws, Q) or None
        Scale of the noise, or dispersion, if it was sampled; one column if it is the same for all targets.
    """

    network: keras.Model
    weights: tuple[np.ndarray, ...]
    method: str
    x_test: np.ndarray
    in_range: np.ndarray
    accept: np.ndarray
    leapfrogs: np.ndarray
    divergent: np.ndarray
    num_warmup: int
    num_data: int
    num_rows: int
    num_held: int
    seconds: float
    compile_seconds: float
    prior_scales: tuple[np.ndarray | None, ...] = ()
    noise_scales: np.ndarray | None = None

    @property
    def exact(self) -> bool:
        """Whether these are independent draws of the exact posterior."""
        return self.method == "closed form"

    @property
    def trusted_in_range(self) -> bool:
        """Whether R-hat of f is at most 1.02 and the ESS at least 200 at all test points in the range of the data.

        The same holds for the scale of the noise, if it was sampled.
        """
        return self._trusted(self.in_range, MAX_RHAT) and self._trusted_noise

    @property
    def _trusted_noise(self) -> bool:
        return self.noise_rhat <= MAX_RHAT and self.noise_ess >= MIN_ESS

    @property
    def trusted_outside(self) -> bool:
        """Whether they are trusted in range, and outside R-hat of f is at most 1.05 and the ESS at least 200."""
        return self.trusted_in_range and self._trusted(~self.in_range, MAX_RHAT_OUTSIDE)

    def _trusted(self, rows: np.ndarray, bound: float) -> bool:
        if self.exact:
            return True
        # nan is not trusted either; a chain that diverges often leaves out narrow places without a trace in R-hat
        good = (self.rhat[rows] <= bound) & (self.ess[rows] >= MIN_ESS)
        several = self.num_chains > 1 and self.divergent.mean() <= 0.02
        return bool(several and rows.any() and good.all())

    @property
    def judgement(self) -> str:
        """Whether the draws can be trusted, in the range of the data and outside, and what to do if not."""
        if self.exact:
            return (
                "The model is linear in its weights and noise and prior are normal: these are independent draws from "
                "the exact posterior, which can be trusted everywhere."
            )
        longer = f"Sample longer: num_draws={2 * self.num_draws}."
        diverged = ""
        if self.divergent.mean() > 0.02:
            diverged = f" {self.divergent.mean():.1%} of the trajectories diverged: narrow places may be left out."
        if self.num_chains == 1:
            return "A single chain cannot show whether it has converged; use several." + diverged
        if not self.trusted_in_range:
            return (
                f"Do not trust these draws yet: in the range of the data R-hat is above {MAX_RHAT} or the effective "
                f"sample size below {MIN_ESS:.0f} {self._bad_place}. {longer}{diverged}"
            )
        if not self.trusted_outside:
            return (
                f"In the range of the data the {self.num_chains} chains agree, and f can be trusted there. Do not "
                f"trust bands outside of it, where R-hat is above {MAX_RHAT_OUTSIDE} or the effective sample size "
                f"below {MIN_ESS:.0f} at some points. {longer}"
            )
        return (
            f"The {self.num_chains} chains, started at independent draws of the prior, agree about f in the range of "
            f"the data and outside: the draws can be used as draws from the posterior."
        )

    @property
    def _bad_place(self) -> str:
        return "at some points" if self._trusted_noise else "at some points or for the scale of the noise"

    def __rich_console__(self, console: Console, options: object) -> object:
        table = Table(title=f"Draws from the posterior by {self.method}", title_justify="left")
        table.add_column("")
        for column in ("points", "worst R-hat", "worst ESS", "median ESS", "trust"):
            table.add_column(column, justify="right")
        trusted = {"f outside of it": self.trusted_outside, "scale of the noise": self._trusted_noise}
        for name, *numbers in self._rows():
            table.add_row(name, *numbers, "yes" if trusted.get(name, self.trusted_in_range) else "no")
        yield table
        yield self._how()
        yield from self._held()
        yield self.judgement

    def _how(self) -> str:
        if self.exact:
            return f"{self.num_chains * self.num_draws:,} draws of {self.num_weights:,} weights.\n"
        grouped = f"{self.num_rows:,} groups of " if self.num_rows < self.num_data else ""
        return (
            f"{self.num_chains} chains of {self.num_draws:,} draws after {self.num_warmup:,} of annealing and warm-up, "
            f"{self.num_weights:,} weights, {self.seconds:.0f} s and {self.compile_seconds:.0f} s to compile. "
            f"Acceptance {self.accept.mean():.2f}, {self.leapfrogs.mean():,.0f} leapfrog steps a draw on "
            f"{grouped}{self.num_data:,} rows, {self.divergent.sum():,} divergent.\n"
        )
