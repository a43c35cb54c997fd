"""Live and dead bump units, for given inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from rich.console import Console

from varbump.core.checks import check_draws
from varbump.core.keras import is_built, keras
from varbump.core.printed import Printed, Table
from varbump.core.random import host_seed, standard_normal
from varbump.forward.apply import apply, rehearse
from varbump.forward.passes import ForwardPass
from varbump.layers.bump import BumpLayer
from varbump.model.checks import check_inputs, check_network

__all__ = ["BumpLayerReport", "BumpReport", "bump_report"]


@dataclass(frozen=True)
class BumpLayerReport:
    """Units of one bump layer, over all rows and draws.

    Attributes
    ----------
    name : str
    reached : ndarray (features,)
        Fraction of the inputs at which the bump of each unit is not zero.
    sigma : ndarray, () or (features,)
        Squared radius; b of a Gaussian bump.
    has_gradient : ndarray of bool, () or (features,)
        Whether any input gives each sigma a gradient.
    """

    name: str
    reached: np.ndarray
    sigma: np.ndarray
    has_gradient: np.ndarray

    @property
    def live_fraction(self) -> float:
        """Fraction of the units that at least one input reaches."""
        return float(np.mean(self.reached > 0))

    @property
    def dead_sigmas(self) -> list[int]:
        """Indices of the sigmas that get no gradient; [0] for a shared one."""
        return [int(i) for i in np.flatnonzero(~np.atleast_1d(self.has_gradient))]


@dataclass(frozen=True, repr=False)
class BumpReport(Printed):
    """Live units of every bump layer of a network; prints as a table with remedies for dead ones.

    Attributes
    ----------
    layers : tuple of BumpLayerReport
    """

    layers: tuple[BumpLayerReport, ...]

    @property
    def findings(self) -> list[str]:
        """A sentence for each layer with dead units; empty for a healthy network."""
        found = []
        for layer in self.layers:
            dead = int(np.sum(layer.reached == 0))
            if dead or layer.dead_sigmas:
                found.append(
                    f"{layer.name}: {dead} of {len(layer.reached)} units are reached by no input, and "
                    f"{len(layer.dead_sigmas)} of {layer.sigma.size} sigmas get no gradient. Start with a larger "
                    f"sigma_initializer, standardise the inputs, or use GaussianBump, which has no edge."
                )
        return found

    def __rich_console__(self, console: Console, options: Any) -> Any:
        table = Table(title="Bumps", title_justify="left")
        table.add_column("layer")
        for column in ("units", "live", "inputs on the support", "sigma", "sigmas without gradient"):
            table.add_column(column, justify="right")
        for layer in self.layers:
            low, high = np.min(layer.sigma), np.max(layer.sigma)
            table.add_row(
                layer.name,
                f"{len(layer.reached)}",
                f"{layer.live_fraction:.0%}",
                f"{np.mean(layer.reached):.0%}",
                f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}",
                f"{len(layer.dead_sigmas)}",
            )
        yield table
        yield from self.findings or ["Every unit is reached by some input, and every sigma gets a gradient."]


def bump_report(network: keras.Model, x: Any, *, num_draws: int = 10, seed: int | None = 0) -> BumpReport:
    """Report, for given inputs, the live units of every bump layer and the sigmas that get no gradient.

    Outside its support a bump and all its gradients are exactly zero: a unit that no input reaches does not learn.

    Parameters
    ----------
    network : tf_keras.Model
        Contains `Bump` or `GaussianBump`, as layers or as activations.
    x : array-like (N, D)
        Inputs, for instance the training data.
    num_draws : int, default=10
        Draws of the weights that are pooled.
    seed : int, optional
        Seed of the draws.

    Returns
    -------
    BumpReport

    Raises
    ------
    ValueError
        If x does not fit the network, or the network holds no bump layer.
    """
    check_network(network)
    check_draws(num_draws)
    x = tf.constant(check_inputs(network, x))
    if not is_built(network):
        network(x[:1])
    size = rehearse(network, (1, *x.shape[1:])).num_noise
    noise = standard_normal([num_draws, size], [host_seed(seed), 0], x.dtype)
    seen: dict[int, tuple[Any, list[np.ndarray]]] = {}
    for i, draw in enumerate(noise):
        forward = ForwardPass(draw, [host_seed(seed), 1 + i])
        apply(network, x, through=forward)
        for layer, inputs in forward.observed:
            flat = np.reshape(inputs, (-1, inputs.shape[-1]))
            seen.setdefault(id(layer), (layer, []))[1].append(flat)
    if not seen:
        raise ValueError("network holds no Bump or GaussianBump layer")
    return BumpReport(tuple(_layer_report(layer, np.concatenate(inputs)) for layer, inputs in seen.values()))


def _layer_report(layer: BumpLayer, inputs: np.ndarray) -> BumpLayerReport:
    with tf.GradientTape() as tape:
        outputs = layer(inputs)
        total = tf.reduce_sum(outputs if layer.height is None else outputs / layer.height)
    gradient = tape.gradient(total, layer.width_variable)
    reached = np.mean(outputs.numpy() != 0, axis=0)
    return BumpLayerReport(layer.name, reached, layer.width.numpy(), np.asarray(gradient) != 0)
