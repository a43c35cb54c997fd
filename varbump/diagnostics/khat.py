"""PSIS k-hat: distance of q from the posterior, measured by the tail of the importance ratios."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console

from varbump.core.checks import check_draws
from varbump.core.extras import need
from varbump.core.keras import is_built, keras
from varbump.core.printed import Printed, Table
from varbump.diagnostics.elbo_estimate import elbo_terms
from varbump.diagnostics.parameters import parameter_report
from varbump.layers import VariationalLayer
from varbump.model.checks import check_network

__all__ = ["KhatReport", "psis_khat"]

GOOD, USABLE = 0.5, 0.7

MANY_WEIGHTS = 100
"""Number of weights above which approximations with good bands fail the test.

The log ratio of a normal whose sd is off by a fraction e to the correct one has variance (1 - (1 - e)^2)^2 / 2, about
2 e^2. Over n independent weights that is 2 n e^2: for n = 100 and e = 10 %, which no band shows, it is 2, and the
ratios of typical draws differ by a factor of 4. The k-hat of the joint density is then near its limits; beyond, it
reflects the number of weights rather than the quality of q (Yao et al., section 3.1, on high dimensions).
"""

MOST_WEIGHTS = 5000
"""Above this many weights the ratios are not computed."""


@dataclass(frozen=True, repr=False)
class KhatReport(Printed):
    """Result of `varbump.psis_khat`; prints as a table with a verdict.

    Attributes
    ----------
    khat : float
        Shape of the generalised Pareto distribution fitted to the largest importance ratios, which has 1 / k moments.
        -inf if all ratios are equal, as for the exact posterior; nan if it was not computed.
    num_weights : int
    num_draws : int
        S.
    log_ratio_sd : float
        Standard deviation of log p(y, w) - log q(w) over the draws, nats; 0 for the exact posterior.
    """

    khat: float
    num_weights: int
    num_draws: int
    log_ratio_sd: float

    @property
    def too_many_weights(self) -> bool:
        """Whether a large k-hat reflects the number of weights rather than q."""
        return self.num_weights > MANY_WEIGHTS

    @property
    def good(self) -> bool | None:
        """Whether q covers the posterior where it has draws; None if there are too many weights to tell."""
        if self.khat < USABLE:
            return True
        return None if self.too_many_weights or np.isnan(self.khat) else False

    @property
    def judgement(self) -> str:
        """Interpretation of the number."""
        modes = "k-hat cannot see modes of the posterior that q has no draws in, nor that q is too wide."
        if self.khat == -np.inf:
            return f"All importance ratios are equal: q is the posterior itself, as far as its draws reach. {modes}"
        if self.khat < GOOD:
            return f"Below {GOOD}: q lacks nothing of the posterior where it has draws. {modes}"
        if self.khat < USABLE:
            return f"Between {GOOD} and {USABLE}: q is usable, with some error in its tails. {modes}"
        if self.too_many_weights:
            return (
                f"Too many weights to say: with more than {MANY_WEIGHTS}, errors of 10 % in each sd, which no band "
                f"shows, are enough for a k-hat above {USABLE}. Look at calibration on held-out data (varbump.evaluate)"
                f", or compare the function with varbump.sample_nuts."
            )
        return (
            f"Above {USABLE}: q is far from the posterior in some direction, mostly too narrow. Do not trust "
            f"the sds of its weights; varbump.sample_nuts shows what that does to the function. Train longer, or use "
            f"a family with more covariance."
        )

    def __rich_console__(self, console: Console, options: Any) -> Any:
        table = Table(title="Posterior against q", title_justify="left", show_header=False)
        table.add_column("")
        table.add_column("", justify="right")
        table.add_row("PSIS k-hat", "not computed" if np.isnan(self.khat) else f"{self.khat:.2f}")
        table.add_row("sd of the log ratios, nats", f"{self.log_ratio_sd:.3g}")
        table.add_row("weights", f"{self.num_weights:,}")
        table.add_row("draws", f"{self.num_draws:,}")
        yield table
        yield self.judgement


def psis_khat(
    network: keras.Model, likelihood: Any, x: Any, y: Any, *, num_draws: int = 4000, seed: int | None = 0
) -> KhatReport:
    r"""Compare q with the posterior by the tail of the importance ratios, for networks with few weights.

    .. math:: r_s = p(y, w_s | x) / q(w_s), \quad w_s \sim q

    If q lacks mass that the posterior has, a few ratios are far larger than all others: k-hat is the shape of the
    generalised Pareto distribution of the largest. For a normal posterior and a q whose sds are smaller by a factor
    s < 1, it is 1 - s^2; a q that is too wide goes unnoticed. Learned noise scales and scales of priors stay fixed.

    Parameters
    ----------
    network, likelihood, x, y
        As in `varbump.fit`: the training data.
    num_draws : int, default=4000
        S; at least 100. However many there are, k-hat varies by about 0.1 from seed to seed.
    seed : int, optional

    Returns
    -------
    KhatReport
        Printable. For more than 5,000 weights nothing is computed and k-hat is nan.

    Raises
    ------
    ImportError
        If arviz-stats is not installed: ``pip install "varbump[arviz]"``.
    ValueError, TypeError
        As `varbump.estimate_elbo`; also if a ratio is not finite, or the network has no
        variational layers.

    References
    ----------
    Yao, Vehtari, Simpson and Gelman (2018), "Yes, but Did It Work?: Evaluating Variational Inference", algorithm 1.
    """
    check_network(network)
    check_draws(num_draws, minimum=100)
    if not is_built(network):
        raise ValueError("network is not built, so it has no q yet; fit it first, or call it on some x")
    if not any(isinstance(layer, VariationalLayer) for layer in network._flatten_layers()):
        raise ValueError("network has no variational layers, so it has no q")
    num_weights = parameter_report(network).num_weights
    if num_weights > MOST_WEIGHTS:
        return KhatReport(float("nan"), num_weights, 0, float("nan"))
    array_stats = need("arviz_stats.base", "psis_khat").array_stats
    log_ratios = -np.add(*elbo_terms(network, likelihood, x, y, num_draws=num_draws, seed=seed))
    if not np.isfinite(log_ratios).all():
        raise ValueError("an importance ratio is nan or infinite: a draw from q has no finite density or likelihood")
    sd = float(np.std(log_ratios))
    if np.ptp(log_ratios) <= 1e-9 * max(1.0, float(np.abs(log_ratios).max())):
        return KhatReport(-np.inf, num_weights, num_draws, sd)  # no tail to fit: psislw would return nan
    # psislw expects log densities of observations, whose ratios are their inverses, and negates its argument
    _, khat = array_stats.psislw(-log_ratios)
    return KhatReport(float(khat), num_weights, num_draws, sd)
