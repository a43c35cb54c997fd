"""Draws from the posterior by importance resampling, and how far they can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from scipy.special import logsumexp

from varbump.core.keras import keras
from varbump.core.printed import Printed
from varbump.inference.vi.history import History
from varbump.predict.sampler import StoredSampler

__all__ = ["ImportanceDraws"]

MAX_SHORTFALL = 5.0
"""Nats between what the candidates of a draw, and all of them together, say of the evidence."""


@dataclass(frozen=True, eq=False)
class ImportanceDraws(Printed):
    """Draws of the weights, each chosen among candidates by its importance; printed, a summary with a judgement.

    `predict_f`, `predict_y` and `predict_bands` take it in place of the network. Where fewer draws are asked for, they
    are the first ones, whatever the seed: the draws are independent of each other.

    Attributes
    ----------
    network : tf_keras.Model
        Whose layers have the weights. Its q plays no part in draws from here.
    weights : tuple of ndarray (num_draws, n)
        Of each variational layer in the order in which they are called, kernel before bias.
    log_weights : ndarray (num_draws, num_candidates)
        log p(y, w | x) - log q(w) of all candidates, nats.
    history : History
        Of the training of the inducing point posterior.
    seconds : float
        Time for training and resampling, with compilation.
    """

    network: keras.Model
    weights: tuple[np.ndarray, ...]
    log_weights: np.ndarray
    history: History
    seconds: float

    @property
    def num_draws(self) -> int:
        """How many functions can be drawn."""
        return len(self.log_weights)

    @property
    def num_candidates(self) -> int:
        """Of each draw."""
        return self.log_weights.shape[1]

    @property
    def elbo(self) -> float:
        """Evidence lower bound of the inducing point posterior by itself, nats of all observations."""
        return float(self.log_weights.mean())

    @property
    def importance_bound(self) -> float:
        r"""Lower bound on the evidence that belongs to a choice among K candidates, nats of all observations.

        .. math:: \operatorname{E} \log \tfrac1K \sum_k p(y, w_k | x) / q(w_k)

        The KL of the draws to the posterior is at most what it lacks to the evidence (Domke and Sheldon 2018).
        """
        return float(np.mean(logsumexp(self.log_weights, axis=1) - np.log(self.num_candidates)))

    @property
    def log_evidence(self) -> float:
        """Estimate of log p(y | x) from all candidates, nats; below it rather than above."""
        return float(logsumexp(self.log_weights) - np.log(self.log_weights.size))

    @property
    def trustworthy(self) -> bool:
        """Whether more candidates would hardly change the draws: the bound lies within 5 nats of the evidence."""
        return self.log_evidence - self.importance_bound <= MAX_SHORTFALL

    @property
    def judgement(self) -> str:
        """Whether the draws can be trusted, and what to do if not."""
        shortfall = self.log_evidence - self.importance_bound
        if self.trustworthy:
            return (
                f"With {self.num_candidates} candidates a draw the bound lies {shortfall:.1f} nats below the evidence: "
                f"the draws are close to those of the posterior where the candidates reach. Modes that the inducing "
                f"point posterior does not know are missing; sample_nuts finds them."
            )
        return (
            f"With {self.num_candidates} candidates a draw the bound lies {shortfall:.1f} nats below the evidence: the "
            f"draws still differ from those of the posterior. Raise num_candidates, train longer (num_steps), or take "
            f"sample_nuts."
        )

    def sampler(
        self, row_shape: tuple[int, ...], num_draws: int, seed: int = 0, chunk_size: int | None = None
    ) -> StoredSampler:
        """Evaluates the first `num_draws` of the draws, for prediction; the seed does not matter.

        Raises
        ------
        ValueError
            If there are fewer.
        """
        del seed  # a source of draws takes one; here which draws is no matter of chance
        if num_draws > self.num_draws:
            raise ValueError(f"num_draws={num_draws:,}, but there are only {self.num_draws:,} draws; ask for fewer")
        return StoredSampler(self.network, row_shape, [w[:num_draws] for w in self.weights], chunk_size)

    def __rich_console__(self, console: Console, options: Any) -> Any:
        yield (
            f"{self.num_draws:,} draws of {sum(w.shape[1] for w in self.weights):,} weights, each chosen among "
            f"{self.num_candidates} candidates, in {self.seconds:.0f} s. ELBO {self.elbo:.1f} nats; with the choice "
            f"{self.importance_bound:.1f}; evidence about {self.log_evidence:.1f}.\n"
        )
        yield self.judgement
