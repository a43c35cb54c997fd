"""Counts of parameters and weights, compared with the number of data points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.markup import escape

from varbump.core.checks import check_count
from varbump.core.keras import is_built, keras
from varbump.core.printed import Printed, Table
from varbump.core.temperature import temperature_of
from varbump.forward.elbo import exact_kl
from varbump.layers import VariationalLayer
from varbump.model.checks import check_model
from varbump.model.structure import leaves
from varbump.posteriors import Posterior

__all__ = ["LayerReport", "ParameterReport", "distributions_of", "parameter_report", "relevance_of"]

MAX_INPUTS_SHOWN = 20


@dataclass(frozen=True)
class LayerReport:
    """Counts of one layer.

    Attributes
    ----------
    name : str
    num_weights : int
        Size of a draw of the layer: kernel and bias.
    num_trainable : int
        Trainable parameters, those of q(w) for a variational layer.
    num_covariances : int
        Trainable parameters that describe dependence between weights.
    kl : float or None
        KL(q || p) in nats; None if it has no closed form, or the layer no distribution.
    num_effective : float or None
        Sum over weights of 1 - sd_q^2 / sd_p^2 (MacKay's gamma), in (-inf, num_weights]; None if the
        prior has no variance.
    """

    name: str
    num_weights: int
    num_trainable: int
    num_covariances: int = 0
    kl: float | None = None
    num_effective: float | None = None


@dataclass(frozen=True, repr=False)
class ParameterReport(Printed):
    """Counts of a network and of its data; prints as a table with a verdict.

    Attributes
    ----------
    layers : tuple of LayerReport
    num_data : int or None
        N.
    relevance : ndarray (D,) or None
        Scale of the weights of each input in the first layer, if the prior learns it (`varbump.priors.ARDNormal`).
    temperature : float
        Temperature of the latest training.
    input_names : tuple of str or None
        Names of the inputs, for the table of relevance.
    """

    layers: tuple[LayerReport, ...]
    num_data: int | None = None
    relevance: np.ndarray | None = None
    temperature: float = 1.0
    input_names: tuple[str, ...] | None = None

    @property
    def num_weights(self) -> int:
        """Number of weights and biases in one draw of the network."""
        return sum(layer.num_weights for layer in self.layers)

    @property
    def num_trainable(self) -> int:
        """Number of trainable parameters, most of them in the variational posterior."""
        return sum(layer.num_trainable for layer in self.layers)

    @property
    def num_covariances(self) -> int:
        """Number of trainable parameters that describe dependence between weights."""
        return sum(layer.num_covariances for layer in self.layers)

    @property
    def ratio(self) -> float | None:
        """Trainable parameters per data point."""
        return self.num_trainable / self.num_data if self.num_data else None

    @property
    def weight_ratio(self) -> float | None:
        """Weights per data point."""
        return self.num_weights / self.num_data if self.num_data else None

    @property
    def kl(self) -> float | None:
        """KL(q || p) in nats, summed over the layers that have one."""
        return _total(layer.kl for layer in self.layers)

    @property
    def num_effective(self) -> float | None:
        """Effective number of parameters: how many weights the data have pinned down."""
        return _total(layer.num_effective for layer in self.layers)

    @property
    def judgement(self) -> str:
        """Interpretation of the counts."""
        if not self.num_data:
            return "Pass num_data to compare the counts with the number of data points."
        weights = f"A function of this network has {self.num_weights:,} weights for {self.num_data:,} data points."
        if self.num_trainable <= self.num_data:
            return f"{weights} There are fewer trainable parameters than points."
        cause = f" (of which {self.num_covariances:,} are covariances)" if self.num_covariances else ""
        effective = "" if self.num_effective is None else f" By now the data pin down about {self.num_effective:,.0f}."
        return (
            f"There are more trainable parameters than data points, {self.num_trainable:,}{cause} for "
            f"{self.num_data:,}. That alone does not make the network overfit or impossible to train: they describe "
            f"a distribution over {self.num_weights:,} weights, which the KL pulls to the prior, not to the data. It "
            f"does mean slower steps, more memory, and an uncertainty that is learned from few points.{effective}"
        )

    def __rich_console__(self, console: Console, options: Any) -> Any:
        table = Table(title="Parameters", title_justify="left")
        table.add_column("layer")
        for column in ("weights", "trainable", "covariances", "KL / nats", "effective"):
            table.add_column(column, justify="right")
        total = LayerReport(
            "total", self.num_weights, self.num_trainable, self.num_covariances, self.kl, self.num_effective
        )
        for row in (*self.layers, total):
            if row is total:
                table.add_section()
            counts = [f"{n:,}" for n in (row.num_weights, row.num_trainable, row.num_covariances)]
            sums = ["-" if v is None else f"{v:,.1f}" for v in (row.kl, row.num_effective)]
            table.add_row(row.name, *counts, *sums)
        yield table
        if self.num_data:
            yield (
                f"{self.num_data:,} data points: {self.weight_ratio:.3g} weights and {self.ratio:.3g} trainable "
                f"parameters for each.\n"
            )
        if self.relevance is not None:
            yield _relevance_table(self.relevance, self.input_names)
        yield self.judgement
        if self.temperature != 1.0:
            yield (
                f"Trained at temperature {self.temperature:.3g}: this is not the Bayesian posterior, whose temperature "
                f"is 1."
            )


def parameter_report(network: keras.Model, *, num_data: int | None = None) -> ParameterReport:
    r"""Count the weights and variational parameters of a network, and compare them with the number of data.

    The effective number of parameters is :math:`\gamma = \sum_i (1 - \mathrm{sd}_q(w_i)^2 / \mathrm{sd}_p(w_i)^2)`.

    Parameters
    ----------
    network : tf_keras.Model
        Built. Its variational layers may be ours or the stock `tfp.layers.DenseVariational`.
    num_data : int, optional
        N.

    Returns
    -------
    ParameterReport

    Raises
    ------
    ValueError
        If the network is not built, or `num_data` is not a positive integer.

    References
    ----------
    MacKay (1992), "Bayesian Interpolation", eq. 4.9.
    """
    check_model(network)
    if num_data is not None:
        num_data = check_count(num_data, "num_data")
    if not is_built(network):
        raise ValueError("network is not built, so its weights cannot be counted; call it on some x first")
    reports = tuple(_report(layer) for layer in _layers_with_weights(network))
    return ParameterReport(reports, num_data, relevance_of(network), temperature_of(network))


def _relevance_table(relevance: np.ndarray, names: tuple[str, ...] | None) -> Table:
    table = Table(title="Relevance of the inputs", title_justify="left")
    table.add_column("input")
    table.add_column("scale of its weights", justify="right")
    table.add_column("")
    largest = max(float(np.max(relevance)), np.finfo(float).tiny)
    for index in np.argsort(-relevance, kind="stable")[:MAX_INPUTS_SHOWN]:
        share = float(relevance[index]) / largest
        table.add_row(
            escape(names[index]) if names else str(index), f"{relevance[index]:.3g}", "\u2588" * round(20 * share)
        )
    if len(relevance) > MAX_INPUTS_SHOWN:
        table.add_row(f"{len(relevance) - MAX_INPUTS_SHOWN:,} more", "below", "")
    return table


def relevance_of(network: keras.Model) -> np.ndarray | None:
    """Learned prior scales of the inputs, if the first layer with weights is variational and its prior learns them."""
    layers = _layers_with_weights(network)
    prior: Any = getattr(layers[0], "_prior", None) if layers else None
    return getattr(prior, "relevance", None)


def _layers_with_weights(network: keras.Model) -> list[Any]:
    return [layer for layer in leaves(network) if layer.trainable_variables or _is_variational(layer)]


def _is_variational(layer: Any) -> bool:
    """Whether it is one of our layers or of TFP's."""
    return hasattr(layer, "_posterior") and hasattr(layer, "_prior")


def _report(layer: Any) -> LayerReport:
    num_trainable = _count(layer.trainable_variables)
    if not _is_variational(layer):
        return LayerReport(layer.name, num_trainable, num_trainable)
    q, p = distributions_of(layer)
    size = int((q.batch_shape + q.event_shape).num_elements())
    num_others = _count(getattr(getattr(layer, "activation", None), "trainable_variables", []))
    num_posterior = num_trainable - num_others - _count(getattr(layer._prior, "trainable_variables", []))
    kl = layer._posterior.kl(p) if isinstance(layer._posterior, Posterior) else exact_kl(q, p)
    return LayerReport(
        name=layer.name,
        num_weights=size + num_others,  # an activation may have weights too
        num_trainable=num_trainable,
        num_covariances=_covariances(layer._posterior, size, num_posterior),
        kl=None if kl is None else float(kl),
        num_effective=_effective(q, p),
    )


def _covariances(posterior: Any, size: int, num_posterior: int) -> int:
    if isinstance(posterior, Posterior):
        return posterior.num_covariances
    return size * (size - 1) // 2 if num_posterior == size + size * (size + 1) // 2 else 0


def distributions_of(layer: Any) -> tuple[Any, Any]:
    """Return the posterior and prior distributions of a variational layer, ours or TFP's."""
    if isinstance(layer, VariationalLayer):
        return layer._posterior(None), layer._prior(None)
    x = tf.zeros([1, layer.input_spec.axes[-1]])
    return layer._posterior(x), layer._prior(x)


def _effective(q: Any, p: Any) -> float | None:
    try:
        ratio = tf.square(q.stddev() / p.stddev())
    except NotImplementedError:
        return None
    has_variance = bool(tf.reduce_all(tf.math.is_finite(p.stddev())))
    return float(tf.reduce_sum(1.0 - ratio)) if has_variance else None


def _count(variables: Sequence[tf.Variable]) -> int:
    return int(sum(np.prod(v.shape) for v in variables))


def _total(values: Any) -> float | None:
    known = [value for value in values if value is not None]
    return float(sum(known)) if known else None
