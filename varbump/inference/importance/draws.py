"""Draws from the posterior by importance resampling, and whether they can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from scipy.special import logsumexp

from varbump.core.keras import keras
from varbump.inference.vi.history import History
from varbump.predict.stored import StoredDraws

__all__ = ["ImportanceDraws"]

MAX_SHORTFALL = 5.0
"""Largest acceptable difference, in nats, between the importance bound and the estimated evidence."""


@dataclass(frozen=True, eq=False, repr=False)
class ImportanceDraws(StoredDraws):
    """Draws of the weights by importance resampling; prints as a summary with a judgement.

    `predict_f`, `predict_y` and `predict_bands` accept it in place of the network. If fewer draws are requested, they
    are the first ones, whatever the seed: the draws are independent of each other.

    Attributes
    ----------
    network : tf_keras.Model
        Network that the weights belong to. Its q does not affect the draws.
    weights : tuple of ndarray (num_draws, n)
        Weights of each variational layer in the order in which they are called, kernel before bias.
    log_weights : ndarray (num_draws, num_candidates)
        log p(y, w | x) - log q(w) of all candidates, nats.
    history : History
        Training of the inducing point posterior.
    seconds : float
        Time for training and resampling, including compilation.
    """

    network: keras.Model
    weights: tuple[np.ndarray, ...]
    log_weights: np.ndarray
    history: History
    seconds: float

    @property
    def num_draws(self) -> int:
        """Number of draws."""
        return len(self.log_weights)

    @property
    def num_candidates(self) -> int:
        """Number of candidates for each draw."""
        return self.log_weights.shape[1]

    @property
    def elbo(self) -> float:
        """Evidence lower bound of the inducing point posterior, in nats, for all observations."""
        return float(self.log_weights.mean())

    @property
    def importance_bound(self) -> float:
        r"""Lower bound on the log evidence from K candidates per draw, in nats, for all observations.

        .. math:: \operatorname{E} \log \tfrac1K \sum_k p(y, w_k | x) / q(w_k)

        The KL of the draws to the posterior is at most the gap to the log evidence (Domke and Sheldon 2018).
        """
        return float(np.mean(logsumexp(self.log_weights, axis=1) - np.log(self.num_candidates)))

    @property
    def log_evidence(self) -> float:
        """Estimate of log p(y | x) from all candidates, in nats; it tends to be too low."""
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

    def __rich_console__(self, console: Console, options: Any) -> Any:
        yield (
            f"{self.num_draws:,} draws of {sum(w.shape[1] for w in self.weights):,} weights, each chosen among "
            f"{self.num_candidates} candidates, in {self.seconds:.0f} s. ELBO {self.elbo:.1f} nats; with the choice "
            f"{self.importance_bound:.1f}; evidence about {self.log_evidence:.1f}.\n"
        )
        yield self.judgement
