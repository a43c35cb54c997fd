"""Export of draws to ArviZ."""

from __future__ import annotations

from typing import Any

import numpy as np

from varbump.core.extras import need
from varbump.core.keras import keras
from varbump.core.random import generator
from varbump.forward.apply import called_layers
from varbump.scores.scored import scored_of

__all__ = ["to_arviz"]

SIZES = ("units", "filters", "output_dim")
"""Attributes for the size of the last axis of the kernel: of dense layers, convolutions and embeddings."""


def to_arviz(
    model: Any,
    x: Any,
    y: Any,
    *,
    likelihood: Any = None,
    num_draws: int = 400,
    seed: int | None = 0,
) -> Any:
    """Convert draws of the weights and of the predictive distribution to an xarray `DataTree` for ArviZ.

    Chains are the Markov chains of `varbump.sample_nuts`, or the members of an ensemble, or one for a network, whose
    draws are independent.

    Parameters
    ----------
    model, likelihood, seed
        As in `varbump.evaluate`.
    x, y : array-like (N, D), (N,) or (N, Q)
        Inputs at which the predictive distribution is drawn, and the observations there.
    num_draws : int, default=400
        S, over all chains; rounded down to a multiple of the number of chains. An estimator uses its own number.

    Returns
    -------
    xarray.DataTree
        Groups: `posterior` with the kernel (chain, draw, inputs, units) and bias (chain, draw, units) of each
        variational layer, or, for `varbump.laplace` of a plain network, of each layer whose weights are random; for an
        estimator these are of standardised x and y. `posterior_predictive` with y (chain, draw, row, target),
        `log_likelihood` with y (chain, draw, row) in nats, jointly over targets, `observed_data` with y and
        `constant_data` with x, all in the user's units; in a pipeline, x is what its last step takes.

    Raises
    ------
    ImportError
        If arviz-base is not installed: ``pip install "varbump[arviz]"``.
    ValueError, TypeError
        As `varbump.evaluate`.
    """
    arviz_base = need("arviz_base", "to_arviz")
    scored = scored_of(model, x, y, likelihood, num_draws, seed)
    distribution = scored.distribution
    predictive = distribution.predictive
    source = predictive.source
    num_chains = getattr(source, "num_chains", getattr(source, "num_members", 1))
    predictive.num_draws = max(predictive.num_draws // num_chains, 1) * num_chains
    rng = generator(0 if seed is None else seed, 3)
    drawn, densities = [], []
    for rows, mixture in distribution.blocks():
        drawn.append(mixture.sample(rng))
        densities.append(mixture.log_components(scored.y[rows]).sum(axis=-1))

    def by_chain(values: np.ndarray) -> np.ndarray:
        """Reshape (S, ...), in which the chains take turns, to (chain, draw, ...)."""
        return np.moveaxis(values.reshape(-1, num_chains, *values.shape[1:]), 1, 0)

    given, rows_of = np.asarray(distribution.given, dtype=float), distribution.inputs
    weights = {
        name: by_chain(values) for name, values in _named(source, rows_of, predictive.sampler(rows_of).weights())
    }
    groups = {
        "posterior": weights,
        "posterior_predictive": {"y": by_chain(np.concatenate(drawn, axis=1))},
        "log_likelihood": {"y": by_chain(np.concatenate(densities, axis=1))},
        "observed_data": {"y": scored.y},
        "constant_data": {"x": given.reshape(len(given), -1)},
    }
    dims = {name: [f"{name}_input", f"{name}_unit"][-(values.ndim - 2) :] for name, values in weights.items()}
    return arviz_base.from_dict(groups, dims={**dims, "x": ["row", "feature"], "y": ["row", "target"]})


def _named(source: Any, x: np.ndarray, weights: tuple[np.ndarray, ...]) -> list[tuple[str, np.ndarray]]:
    """Names and values of the kernels (S, inputs, units) and biases (S, units) of the variational layers."""
    variables = getattr(source, "variables_drawn", ())  # of a plain network
    if variables:
        axes = [shape[-1:] if len(shape) < 2 else (-1, shape[-1]) for _, shape in variables]
        parts = zip(variables, axes, weights, strict=True)
        return [(name, values.reshape(len(values), *(own or (1,)))) for (name, _), own, values in parts]
    network = source if isinstance(source, keras.Model) else source.network
    named = []
    for layer, values in zip(called_layers(network, (1, *x.shape[1:])), weights, strict=True):
        units = next(getattr(layer, size) for size in SIZES if hasattr(layer, size))
        # TFP's layers have a posterior for the bias
        num_biases = units if getattr(layer, "use_bias", getattr(layer, "bias_posterior", None) is not None) else 0
        kernel = values[:, : values.shape[1] - num_biases].reshape(len(values), -1, units)
        named.append((f"{layer.name}_kernel", kernel))
        if num_biases:
            named.append((f"{layer.name}_bias", values[:, -num_biases:]))
    return named
