"""Mean and sd of every weight, under q and under the prior."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape

from varbump.core.keras import is_built, keras
from varbump.core.printed import Printed, Short, Table
from varbump.diagnostics.parameters import distributions_of
from varbump.model.checks import check_model
from varbump.model.structure import leaves

__all__ = ["LayerWeights", "WeightSummary", "weight_summary"]


@dataclass(frozen=True, repr=False)
class LayerWeights(Short):
    """Weights of one variational layer, kernel first.

    Attributes
    ----------
    name : str
    mean, sd : ndarray (n,)
        Marginal moments under q(w).
    prior_mean, prior_sd : ndarray (n,)
        nan for a prior without them, such as the horseshoe.
    """

    name: str
    mean: np.ndarray
    sd: np.ndarray
    prior_mean: np.ndarray
    prior_sd: np.ndarray

    @property
    def signal_to_noise(self) -> np.ndarray:
        """|mean| / sd of each weight (n,)."""
        return np.abs(self.mean) / self.sd

    @property
    def marginal_kl(self) -> np.ndarray:
        r"""KL in nats of each marginal to a normal with the moments of its prior, shape (n,).

        .. math:: \log(s_p / s_q) + (s_q^2 + (m_q - m_p)^2) / 2 s_p^2 - 1/2
        """
        ratio = (self.sd / self.prior_sd) ** 2
        return 0.5 * (ratio + ((self.mean - self.prior_mean) / self.prior_sd) ** 2 - 1.0 - np.log(ratio))


@dataclass(frozen=True, repr=False)
class WeightSummary(Printed):
    """Moments of the weights of each variational layer.

    Attributes
    ----------
    layers : tuple of LayerWeights
    """

    layers: tuple[LayerWeights, ...]

    def __rich_console__(self, console: Console, options: Any) -> Any:
        table = Table(title="Weights under q(w): medians over each layer", title_justify="left")
        table.add_column("layer")
        for column in ("weights", "|mean|", "sd", "prior sd", "|mean| / sd"):
            table.add_column(column, justify="right")
        for layer in self.layers:
            values = (np.abs(layer.mean), layer.sd, layer.prior_sd, layer.signal_to_noise)
            medians = (f"{np.median(value):.3g}" for value in values)
            table.add_row(escape(layer.name), f"{len(layer.mean):,}", *medians)
        yield table


def weight_summary(network: keras.Model) -> WeightSummary:
    """Collect mean and sd of every weight under the posterior and the prior, layer by layer.

    Parameters
    ----------
    network : tf_keras.Model
        Built, with variational layers, ours or stock.

    Returns
    -------
    WeightSummary

    Raises
    ------
    ValueError
        If the network is not built, or has no variational layer whose moments are known.
    """
    check_model(network)
    if not is_built(network):
        raise ValueError("network is not built; call it on some x first")
    layers = []
    for layer in leaves(network):
        if hasattr(layer, "_posterior") and hasattr(layer, "_prior"):
            q, p = distributions_of(layer)
            try:
                of_q = [np.asarray(m).astype(float) for m in (q.mean(), q.stddev())]
            except NotImplementedError:
                continue
            moments = *of_q, *_moments_of_prior(p)
            layers.append(LayerWeights(layer.name, *(np.broadcast_to(m, of_q[0].shape) for m in moments)))
    if not layers:
        raise ValueError("network has no variational layer whose mean and sd are known")
    return WeightSummary(tuple(layers))


def _moments_of_prior(p: Any) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd; nan where they are infinite, do not exist or are not known."""
    try:
        mean, sd = np.asarray(p.mean()).astype(float), np.asarray(p.stddev()).astype(float)
    except NotImplementedError:
        return np.full(1, np.nan), np.full(1, np.nan)
    return np.where(np.isfinite(mean), mean, np.nan), np.where(np.isfinite(sd), sd, np.nan)
