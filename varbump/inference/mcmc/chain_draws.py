"""Base of draws that Markov chains have made."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np

from varbump.inference.mcmc.convergence import ess_of, rhat_of
from varbump.predict.stored import StoredDraws

__all__ = ["ChainDraws"]


class ChainDraws(StoredDraws):
    """Abstract source of draws: `weights` (num_chains, num_draws, n) of each variational layer.

    Convergence is that of f at the rows `x_test` (M, D), and of the scales of the noise if they were sampled.
    """

    x_test: np.ndarray
    in_range: np.ndarray
    num_held: int
    prior_scales: tuple[np.ndarray | None, ...]
    noise_scales: np.ndarray | None

    @property
    def num_chains(self) -> int:
        """Number of Markov chains, each started at a different point."""
        return self.weights[0].shape[0]

    @property
    def num_draws(self) -> int:
        """Number of draws per chain."""
        return self.weights[0].shape[1]

    @property
    def num_weights(self) -> int:
        """Number of weights in one draw, over all layers."""
        return sum(w.shape[-1] for w in self.weights)

    @cached_property
    def rhat(self) -> np.ndarray:
        """Split R-hat of f at `x_test`, shape (M, Q); well above 1 the chains disagree."""
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

    @cached_property
    def noise_rhat(self) -> float:
        """Largest split R-hat of the logs of the scales of the noise; 1 if they are held."""
        return 1.0 if self.noise_scales is None else float(rhat_of(self._log_noise).max())

    @cached_property
    def noise_ess(self) -> float:
        """Smallest effective sample size of the logs of the scales of the noise; infinite if they are held."""
        return np.inf if self.noise_scales is None else float(ess_of(self._log_noise).min())

    @property
    def _log_noise(self) -> np.ndarray:
        """Logs of the scales of the noise, (num_draws, num_chains, Q)."""
        return np.log(np.moveaxis(np.asarray(self.noise_scales), 0, 1))

    def likelihood_of_draws(self, likelihood: Any, num_draws: int, rank: int = 3) -> Any:
        """The likelihood with the scales that were sampled with each of so many draws.

        Raises
        ------
        TypeError
            If scales were sampled and this likelihood has none.
        """
        if self.noise_scales is None:
            return likelihood
        if not hasattr(likelihood, "at_scales"):
            raise TypeError(
                f"these draws have noise scales of their own, which {type(likelihood).__name__} cannot take; pass the "
                f"likelihood that they were sampled with"
            )
        return likelihood.at_scales(self.noise_scales[self._spread(num_draws)], rank)

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

    def _rows(self) -> Iterator[tuple[str, ...]]:
        """Rows of a table: the quantity and place, the number of test points there, and R-hat and ESS."""
        for name, rows in (("f in the range of the data", self.in_range), ("f outside of it", ~self.in_range)):
            if rows.any():
                rhat, ess = self.rhat[rows].max(), self.ess[rows]
                yield name, f"{rows.sum()}", f"{rhat:.3f}", f"{ess.min():,.0f}", f"{np.median(ess):,.0f}"
        if self.noise_scales is not None:
            yield "scale of the noise", "", f"{self.noise_rhat:.3f}", f"{self.noise_ess:,.0f}", ""

    def _held(self) -> Iterator[str]:
        """Sentence about values that were held fixed, if there are any."""
        if self.num_held:
            yield (
                f"{self.num_held:,} learned numbers that are no weights of a variational layer were held at their "
                f"present values.\n"
            )
