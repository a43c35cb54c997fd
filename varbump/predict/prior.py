"""Draws from the prior: functions and observations before any data."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from rich.console import Console

from varbump.core.checks import check_draws
from varbump.core.keras import float_dtype, is_built, keras
from varbump.core.random import host_seed, stateless_seeds
from varbump.core.temperature import was_trained
from varbump.forward.apply import called_layers
from varbump.model.checks import check_network
from varbump.predict.stored import StoredDraws

__all__ = ["PriorDraws", "drawn_weights", "sample_prior"]


@dataclass(frozen=True, eq=False, repr=False)
class PriorDraws(StoredDraws):
    """Draws of the weights from the prior; the result of `varbump.sample_prior`.

    `predict_f`, `predict_y` and `predict_bands` accept it in place of the network. If fewer draws are requested, they
    are the first ones, whatever the seed.

    Attributes
    ----------
    network : tf_keras.Model
        Network that the weights belong to. Its q does not affect the draws, except through priors that learn.
    weights : tuple of ndarray (num_draws, n)
        Weights of each variational layer in the order in which they are called, kernel before bias.
    """

    network: keras.Model
    weights: tuple[np.ndarray, ...]

    of_prior: ClassVar[bool] = True
    way_out: ClassVar[str] = "ask for fewer, or for more in sample_prior(..., num_draws={num_draws})"

    @property
    def num_draws(self) -> int:
        """Number of draws."""
        return len(self.weights[0])

    def __rich_console__(self, console: Console, options: Any) -> Any:
        yield f"{self.num_draws:,} draws of {sum(w.shape[1] for w in self.weights):,} weights from the prior."


def sample_prior(network: keras.Model, *, num_draws: int = 100, seed: int | None = 0) -> PriorDraws:
    """Draw the weights from the prior: what the network and the prior assume about functions before any data.

    Pass the result to `varbump.predict_f`, `varbump.predict_y` or `varbump.predict_bands` in place of the network.
    This differs from predicting with a network before training, whose q is narrow, where training starts.

    Parameters
    ----------
    network : tf_keras.Model
        Built. Weights that do not belong to a variational layer, such as those of a bump, keep their values. Of a prior
        with learned scales, such as `varbump.priors.ARDNormal`, the draws are those for the current scales.
    num_draws : int, default=100
        S, the number of draws.
    seed : int, optional
        If omitted, TensorFlow's global seed decides.

    Returns
    -------
    PriorDraws

    Raises
    ------
    ValueError
        If the network is not built or has no variational layer, if a count is below 1, or if a prior cannot be drawn
        from.
    TypeError
        If `network` is not a tf_keras model.

    Warns
    -----
    UserWarning
        If the scales of a prior follow q, and q has not been trained by `varbump.fit`.

    References
    ----------
    Gelman, Vehtari et al. (2020), "Bayesian Workflow", section 2.4 (prior predictive checking).
    """
    check_network(network)
    num_draws, seed = check_draws(num_draws), host_seed(seed)
    if not is_built(network):
        raise ValueError("network is not built, so its layers have no priors yet; call it once, or give input_shape")
    row = tf.zeros((1, *network.input_shape[1:]), float_dtype(network))
    layers = called_layers(network, row.shape)
    if not layers:
        raise ValueError("network has no variational layers, so it has no prior")
    following = [layer.name for layer in layers if getattr(layer.prior, "follows_posterior", False)]
    if following and not was_trained(network):
        warnings.warn(
            f"the prior of layer {following[0]!r} learns its scales, and before training they are those of the initial "
            f"q, so these draws say little about what the prior allows; give the layer a fixed prior, such as "
            f"varbump.priors.Normal, or draw after training",
            UserWarning,
            stacklevel=2,
        )
    return PriorDraws(network, drawn_weights(layers, row, num_draws, seed))


def drawn_weights(layers: Sequence[Any], row: tf.Tensor, num_draws: int, seed: int) -> tuple[np.ndarray, ...]:
    """Draw the weights (S, n) of each variational layer from its prior; `row` is a row of inputs of the network."""
    seeds = stateless_seeds(seed, 2, count=len(layers))
    return tuple(_drawn(layer, row, num_draws, own) for layer, own in zip(layers, seeds, strict=True))


def _drawn(layer: Any, row: tf.Tensor, num_draws: int, seed: np.ndarray) -> np.ndarray:
    """Draw the weights (S, n) of one layer."""
    try:
        weights = np.asarray(layer.prior(row).sample(num_draws, seed=tf.constant(seed)))
    except (NotImplementedError, AttributeError, TypeError) as error:
        raise ValueError(
            f"The prior of layer {layer.name!r} cannot be drawn from ({type(error).__name__}: {error})"
        ) from error
    return weights.reshape(num_draws, -1)
