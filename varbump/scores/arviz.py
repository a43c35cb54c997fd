"""Draws in the container that ArviZ works with."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from varbump.core.extras import need
from varbump.core.keras import keras
from varbump.core.random import generator
from varbump.forward.passes import ForwardPass, run_pass
from varbump.scores.target import target_of

__all__ = ["to_arviz"]


def to_arviz(
    model: Any,
    x: Any,
    y: Any,
    *,
    likelihood: Any = None,
    num_draws: int = 400,
    seed: int | None = 0,
) -> Any:
    """Draws of the weights and of the predictive distribution as ArviZ's container, an xarray `DataTree`.

    Chains are the Markov chains of `varbump.sample_nuts`, or the members of an ensemble, or one for a network, whose
    draws are independent.

    Parameters
    ----------
    model, likelihood, seed
        As in `varbump.evaluate`.
    x, y : array-like (N, D), (N,) or (N, Q)
        Where the predictive distribution is drawn, and what was observed there.
    num_draws : int, default=400
        S, over all chains; a multiple of their number is taken. An estimator has its own number.

    Returns
    -------
    xarray.DataTree
        Groups: `posterior` with the kernel (chain, draw, inputs, units) and bias (chain, draw, units) of each
        variational layer; for an estimator these are of standardised x and y. `posterior_predictive` with y
        (chain, draw, row, target), `log_likelihood` with y (chain, draw, row) in nats, jointly over targets,
        `observed_data` with y and `constant_data` with x, all in the user's units.

    Raises
    ------
    ImportError
        If arviz-base is not installed: ``pip install "varbump[arviz]"``.
    ValueError, TypeError
        As `varbump.evaluate`.
    """
    arviz_base = need("arviz_base", "to_arviz")
    target = target_of(model, x, y, likelihood, num_draws, seed)
    predictive = target.predictive
    source = predictive.source
    num_chains = getattr(source, "num_chains", getattr(source, "num_members", 1))
    predictive.num_draws = max(predictive.num_draws // num_chains, 1) * num_chains
    rng = generator(0 if seed is None else seed, 3)
    drawn, densities = [], []
    for rows, mixture in predictive.blocks(target.x):
        observed = target.y[rows]
        mixture = mixture.first(len(observed)).affine(target.shift, target.unit)
        drawn.append(mixture.sample(rng))
        densities.append(mixture.log_components(observed).sum(axis=-1))

    def by_chain(values: np.ndarray) -> np.ndarray:
        """(S, ...) with the chains in turn, as (chain, draw, ...)."""
        return np.moveaxis(values.reshape(-1, num_chains, *values.shape[1:]), 1, 0)

    network = source if isinstance(source, keras.Model) else source.network
    inputs = np.asarray(x, dtype=float)
    weights = {
        name: by_chain(values) for name, values in _named(network, target.x, predictive.sampler(target.x).weights())
    }
    groups = {
        "posterior": weights,
        "posterior_predictive": {"y": by_chain(np.concatenate(drawn, axis=1))},
        "log_likelihood": {"y": by_chain(np.concatenate(densities, axis=1))},
        "observed_data": {"y": target.y},
        "constant_data": {"x": inputs.reshape(len(inputs), -1)},
    }
    dims = {name: [f"{name}_input", f"{name}_unit"][-(values.ndim - 2) :] for name, values in weights.items()}
    return arviz_base.from_dict(groups, dims={**dims, "x": ["row", "feature"], "y": ["row", "target"]})


class _Calls(ForwardPass):
    """A pass that notes which layer drew, call by call."""

    def __init__(self) -> None:
        super().__init__(None)
        self.layers: list[Any] = []

    def report_kl(self, layer: object, kl: tf.Tensor) -> None:
        self.layers.append(layer)


def _named(network: keras.Model, x: np.ndarray, weights: tuple[np.ndarray, ...]) -> list[tuple[str, np.ndarray]]:
    """Kernels (S, inputs, units) and biases (S, units) of the variational layers, with names."""
    calls = _Calls()
    with run_pass(calls):
        network(x[:1], training=False)
    named = []
    for layer, values in zip(calls.layers, weights, strict=True):
        num_biases = layer.units if layer.use_bias else 0
        kernel = values[:, : values.shape[1] - num_biases].reshape(len(values), -1, layer.units)
        named.append((f"{layer.name}_kernel", kernel))
        if num_biases:
            named.append((f"{layer.name}_bias", values[:, -num_biases:]))
    return named
