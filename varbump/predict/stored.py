"""Base of sources of draws that hold their weights."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from varbump.core.printed import Printed
from varbump.predict.sampler import StoredSampler

__all__ = ["StoredDraws"]


class StoredDraws(Printed):
    """Abstract source of draws, a data class with `network`, and `weights` (num_draws, n) of each variational layer."""

    network: Any
    weights: tuple[np.ndarray, ...]

    way_out: ClassVar[str] = "ask for fewer"
    """What to do if there are fewer draws than asked for; may mention `{num_draws}`, the number asked for."""

    def sampler(
        self, row_shape: tuple[int, ...], num_draws: int, seed: int = 0, chunk_size: int | None = None
    ) -> StoredSampler:
        """Return a sampler that evaluates `num_draws` of the draws, for prediction; the seed is ignored.

        Raises
        ------
        ValueError
            If there are fewer draws.
        """
        del seed  # part of the interface of draw sources; here the choice of draws is not random
        return StoredSampler(self.network, row_shape, self._chosen(num_draws), chunk_size)

    def likelihood_of_draws(self, likelihood: Any, num_draws: int, rank: int = 3) -> Any:
        """The likelihood with what belongs to each of so many draws of f, an array of `rank` axes; here itself."""
        del num_draws, rank
        return likelihood

    def observe(self, likelihood: Any, f: np.ndarray, seed: Any) -> np.ndarray:
        """Draw y for draws f (S, ..., K)."""
        return self.likelihood_of_draws(likelihood, len(f), f.ndim).sample(f, seed).numpy()

    def expect(self, likelihood: Any, f: np.ndarray) -> np.ndarray:
        """E[y | f] for draws f (S, ..., K)."""
        return np.asarray(self.likelihood_of_draws(likelihood, len(f), f.ndim).mean(f))

    def _chosen(self, num_draws: int) -> list[np.ndarray]:
        """Weights (num_draws, n) of each layer: those of the first draws."""
        available = len(self.weights[0])
        if num_draws > available:
            raise ValueError(
                f"num_draws={num_draws:,}, but there are only {available:,} draws; "
                f"{self.way_out.format(num_draws=num_draws)}"
            )
        return [w[:num_draws] for w in self.weights]
