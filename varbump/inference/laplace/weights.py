"""The random weights of a trained network: which they are, their values and their prior."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tensorflow_probability import distributions as tfd

from varbump.core.keras import is_graph_network, keras, trainable_variables_of, variables_of
from varbump.forward.apply import called_layers
from varbump.forward.stateless import key
from varbump.inference.laplace.structures import STRUCTURES, chosen_structure
from varbump.model.structure import leaves, owners, weight_label

__all__ = ["Weights", "random_weights"]

NORMAL = (tfd.MultivariateNormalDiag, tfd.Normal)


@dataclass(frozen=True, eq=False)
class Weights:
    """The P random weights of a network, in parts, and everything else that its function depends on.

    A part is a trainable variable of a plain network, or the weights of a variational layer.

    Attributes
    ----------
    network : tf_keras.Model
    structure : str
        "full", "last_layer" or "diagonal".
    values : tuple of ndarray
        Present values of all variables of the network: a later training does not change the result.
    draws : tuple of ndarray (n,)
        Mean of q of each variational layer, in the order in which they are called; empty for a plain network.
    chosen : tuple of int
        Which parts are random: indices into `draws`, or into `values` for a plain network.
    names : tuple of str
        Names of the random variables of a plain network, such as "dense_kernel"; empty for one with variational layers.
    num_held : int
        Number of trainable numbers that are not random.
    prior_loc, prior_sd : ndarray (P,) or None
        Moments of the network's own prior; None for a plain network.
    other_priors : tuple of str
        Layers whose prior is not normal, and which the normal with its moments replaces.
    """

    network: keras.Model
    structure: str
    values: tuple[np.ndarray, ...]
    draws: tuple[np.ndarray, ...]
    chosen: tuple[int, ...]
    names: tuple[str, ...]
    num_held: int
    prior_loc: np.ndarray | None = None
    prior_sd: np.ndarray | None = None
    other_priors: tuple[str, ...] = ()

    @property
    def loc(self) -> np.ndarray:
        """Present values of the random weights, (P,), double precision."""
        parts = self.draws or self.values
        return np.concatenate([np.ravel(parts[index]) for index in self.chosen]).astype(np.float64)

    def parts(self, w: np.ndarray) -> tuple[np.ndarray, ...]:
        """Draws w (S, P) of the random weights, by parts: (S, n) of each layer, also of those held, or variable."""
        sizes = [(self.draws or self.values)[index].size for index in self.chosen]
        split = dict(zip(self.chosen, np.split(w, np.cumsum(sizes)[:-1], axis=-1), strict=True))
        if not self.draws:
            return tuple(split.values())
        held = (np.broadcast_to(own, (len(w), own.size)) for own in self.draws)
        return tuple(split.get(index, own) for index, own in enumerate(held))


def random_weights(network: keras.Model, row_shape: Sequence[int], structure: str) -> Weights:
    """Find the random weights of a built network; `structure` may be "auto".

    Raises
    ------
    ValueError
        If nothing is trainable, if a layer is called more than once, if its q or its prior does not have the moments
        that are needed, or if the structure does not suit the network.
    """
    if structure not in STRUCTURES:
        raise ValueError(f"structure must be one of {STRUCTURES}, got {structure!r}")
    values = tuple(np.asarray(variable) for variable in variables_of(network))
    layers = called_layers(network, (1, *row_shape))
    make = _of_layers if layers else _of_variables
    return make(network, layers, values, structure)


def _of_variables(network: keras.Model, layers: Any, values: tuple[np.ndarray, ...], structure: str) -> Weights:
    """Weights of a plain network: its trainable variables."""
    del layers  # there are none
    trainable = {key(variable) for variable in trainable_variables_of(network)}
    if not trainable:
        raise ValueError(
            "network has no trainable weights, so there is nothing to be uncertain about; set trainable=True in its "
            "layers"
        )
    keys = [key(variable) for variable in variables_of(network)]
    every = [index for index, one in enumerate(keys) if one in trainable]
    last = _last_variables(network, trainable)
    structure, is_last = chosen_structure(
        structure, sum(values[i].size for i in every), sum(values[i].size for i in every if keys[i] in last)
    )
    chosen = tuple(index for index in every if keys[index] in last) if is_last else tuple(every)
    held = sum(values[index].size for index in every if index not in chosen)
    return Weights(network, structure, values, (), chosen, _names(network, chosen), held)


def _names(network: keras.Model, chosen: Sequence[int]) -> tuple[str, ...]:
    """Names of variables by layer, with a number where several have the same."""
    owner = owners(network)
    variables = variables_of(network)
    names = [f"{owner[v.ref()]}_{weight_label(v)}" for v in (variables[index] for index in chosen)]
    return tuple(name if names.count(name) == 1 else f"{name}_{i}" for i, name in enumerate(names))


def _last_variables(network: keras.Model, trainable: set[Any]) -> set[Any]:
    """Keys of the trainable variables of the last layer that has any; empty if the order of layers is not known."""
    if not is_graph_network(network):
        return set()
    own = ({key(variable) for variable in trainable_variables_of(layer)} for layer in leaves(network))
    return next((variables for variables in reversed(list(own)) if variables & trainable), set())


def _of_layers(network: keras.Model, layers: Any, values: tuple[np.ndarray, ...], structure: str) -> Weights:
    """Weights of a network with variational layers: all that these draw."""
    twice = [layer.name for layer in layers if layers.count(layer) > 1]
    if twice:
        raise ValueError(f"Layer {twice[0]!r} is called more than once in a pass, which laplace does not do")
    draws = tuple(_mean(layer) for layer in layers)
    structure, is_last = chosen_structure(structure, sum(w.size for w in draws), draws[-1].size)
    chosen = (len(draws) - 1,) if is_last else tuple(range(len(draws)))
    moments = [_prior_moments(layers[index], draws[index].size) for index in chosen]
    own = {key(v) for layer in layers for v in trainable_variables_of(layer.posterior)}
    held = sum(int(np.prod(v.shape)) for v in trainable_variables_of(network) if key(v) not in own)
    held += sum(w.size for index, w in enumerate(draws) if index not in chosen)
    loc, sd = (np.concatenate(parts) for parts in zip(*moments, strict=True))
    others = tuple(layers[index].name for index in chosen if not isinstance(layers[index].prior(None), NORMAL))
    return Weights(network, structure, values, draws, chosen, (), held, loc, sd, others)


def _mean(layer: Any) -> np.ndarray:
    """Mean of q of a layer, (n,)."""
    try:
        return np.asarray(layer.posterior(None).mean()).ravel()
    except (NotImplementedError, AttributeError, TypeError) as error:
        raise ValueError(
            f"the posterior of layer {layer.name!r} has no mean in closed form ({type(error).__name__}: {error}), and "
            f"laplace expands around it; use a family of varbump.posteriors, or sample_nuts"
        ) from error


def _prior_moments(layer: Any, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the prior of a layer, (n,) each."""
    try:
        prior = layer.prior(None)
        loc, sd = (np.broadcast_to(np.ravel(part), size).astype(np.float64) for part in (prior.mean(), prior.stddev()))
        independent = prior.event_shape.rank == 0 or isinstance(prior, tfd.Independent)
        covariance = np.zeros((1, 1)) if independent else np.asarray(prior.covariance())
    except (NotImplementedError, AttributeError, TypeError) as error:
        raise ValueError(
            f"the prior of layer {layer.name!r} has no moments that can be evaluated without inputs "
            f"({type(error).__name__}: {error}), which laplace needs; use sample_nuts, which needs its density only"
        ) from error
    if not (np.isfinite(loc).all() and np.isfinite(sd).all() and (sd > 0.0).all()):
        raise ValueError(
            f"the prior of layer {layer.name!r} has no finite mean and positive standard deviation, which laplace "
            f"needs; use sample_nuts, which needs its density only"
        )
    if np.count_nonzero(covariance - np.diag(np.diag(covariance))):
        raise ValueError(
            f"the weights of layer {layer.name!r} depend on each other in its prior, and laplace takes independent "
            f"ones only; use a prior of varbump.priors, or sample_nuts"
        )
    return loc, sd
