"""Structure of networks and likelihoods; those of equal structure share compiled programs."""

from __future__ import annotations

import inspect
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

from varbump.core.keras import (
    is_graph_network,
    is_of_keras,
    keras,
    network_config,
    serialize,
    trainable_variables_of,
    variables_of,
)
from varbump.core.registry import key_of_class

__all__ = ["Undescribable", "frozen", "likelihood_structure", "network_structure", "token"]

PURE = {
    "Activation", "ActivityRegularization", "Add", "AlphaDropout", "Average", "AveragePooling1D", "BatchNormalization",
    "Concatenate", "Cropping1D", "Dense", "Dropout", "ELU", "Flatten", "GaussianDropout", "GaussianNoise",
    "GlobalAveragePooling1D", "GlobalMaxPooling1D", "InputLayer", "LayerNormalization", "LeakyReLU", "MaxPooling1D",
    "Maximum", "Minimum", "Multiply", "PReLU", "ReLU", "Rescaling", "Reshape", "Softmax", "Subtract",
    "UnitNormalization", "Sequential", "Functional",
}  # fmt: skip
"""Layers of Keras whose outputs depend only on their configuration, their inputs and their variables. `Lambda` holds
code, and `Normalization` keeps tensors besides its variables: networks with these do not share programs."""

CONNECTIONS = {"inbound_nodes", "input_layers", "output_layers"}
"""Keys of configurations that hold names of layers."""

NOT_COMPUTED = {"name", "seed", "build_config", "build_input_shape", "kl_weight", "trainable", "batch_input_shape"}
"""Keys of configurations that compiled programs do not depend on."""


NOT_USED = {"name", "reduction", "_varbump_token"}
"""Attributes of likelihoods that no density depends on."""


class Undescribable(Exception):
    """Raised for an object of which nothing determines what it computes; an argument names its class."""


def network_structure(network: keras.Model, *, lasting: bool = True) -> Hashable:
    """Return a value that is equal for networks that compute the same function of inputs, noise and variables.

    If the configuration does not determine the function, the value is unique to this network; and to this call too,
    unless `lasting`, since nobody knows what may have been changed since the last one.
    """
    try:
        return _described(network)
    except Undescribable:
        if not lasting:
            return ("a network of its own", object())
        parts = [(id(layer), id(getattr(layer, "activation", None))) for layer in network._flatten_layers()]
        return ("a network of its own", token(network), tuple(parts))


def _described(network: keras.Model) -> Hashable:
    if not is_graph_network(network):
        raise Undescribable
    layers = list(_layers(network))
    if not all(_describes_itself(layer) for layer in layers):
        raise Undescribable
    numbers = {layer.name: f"layer {index}" for index, layer in enumerate(layers)}
    trained = {id(v) for v in trainable_variables_of(network)}
    variables = tuple((tuple(v.shape), v.dtype.name, id(v) in trained) for v in variables_of(network))
    try:
        configuration = network_config(network)
        penalties = [keras.regularizers.serialize(layer.activity_regularizer) for layer in layers]
    except Exception as error:  # of parts that users wrote
        raise Undescribable from error
    # a function of one's own may have the name of one of Keras, which is all that a configuration says of it
    functions = tuple(f for f in (getattr(layer, "activation", None) for layer in layers) if inspect.isfunction(f))
    flags = tuple(layer.trainable for layer in layers)
    priors = tuple(_held(prior) for prior in (getattr(layer, "make_prior_fn", None) for layer in layers))
    return frozen(configuration, numbers), variables, functions, flags, frozen(penalties), priors


def _layers(network: keras.Model) -> Iterator[Any]:
    """Yield a model, its layers and those of nested models; other layers describe what they contain."""
    yield network
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        else:
            yield layer


def _describes_itself(layer: Any) -> bool:
    """Whether the configuration of a layer determines what it computes.

    So it is for some layers of Keras and for ours, unless a part of a user's own is in them, such as a family, which
    may keep more than its configuration says. A registered prior may be a user's own: it is compared by all it holds.
    """
    if is_of_keras(layer):
        return type(layer).__name__ in PURE and not _callable_losses(layer)
    parts = [layer, getattr(layer, "make_posterior_fn", layer), getattr(layer, "prior", layer)]
    prior = getattr(layer, "make_prior_fn", layer)
    if key_of_class(type(prior)) is None:
        parts.append(prior)
    if isinstance(getattr(layer, "activation", None), keras.layers.Layer):
        parts.append(layer.activation)
    of_ours = all(type(part).__module__.startswith("varbump.") or is_of_keras(part) for part in parts)
    return of_ours and key_of_class(type(layer)) is not None and len(_callable_losses(layer)) <= 1


def _callable_losses(layer: Any) -> list[Any]:
    return getattr(layer, "_callable_losses", [])


def likelihood_structure(likelihood: Any) -> Hashable:
    """Return a value that is equal for likelihoods that compute the same function of their variables."""
    try:
        if hasattr(likelihood, "structure"):
            return type(likelihood), frozen(likelihood.structure()), _attributes(likelihood)
    except Undescribable:
        pass
    return ("a likelihood of its own", token(likelihood))


def _held(prior: Any) -> Hashable:
    """Class and attributes of a prior factory of a user's own, since its methods may use any of them; else None."""
    if prior is None or type(prior).__module__.startswith("varbump."):
        return None
    return type(prior), tuple((name, frozen(value)) for name, value in sorted(vars(prior).items()))


def _attributes(likelihood: Any) -> Hashable:
    """Attributes of a likelihood of a user's class, since its methods may use any of them; otherwise None."""
    if type(likelihood).__module__.startswith("varbump."):
        return None
    known = {id(v) for v in [*likelihood.variables, *likelihood.constants]}
    own = {name: value for name, value in vars(likelihood).items() if id(value) not in known}
    return tuple((name, frozen(value)) for name, value in sorted(own.items()) if name not in NOT_USED)


def token(owner: Any) -> Hashable:
    """Return what stands for an object in a key, without keeping it alive."""
    try:
        found = owner.__dict__.get("_varbump_token")
        if found is None:
            found = object()
            object.__setattr__(owner, "_varbump_token", found)  # bypasses the attribute tracking of Keras
        return found
    except (AttributeError, TypeError):
        return owner


def frozen(value: Any, numbers: Mapping[str, str] | None = None) -> Hashable:
    """Convert a configuration to a value that can be compared and hashed.

    Parameters
    ----------
    value : nested dict, list, str, number or registered object
    numbers : mapping of str to str, optional
        Replacements for the names of layers, wherever layers are connected.

    Raises
    ------
    Undescribable
        If it contains a function, or an object that is not registered.
    """
    if isinstance(value, Mapping):
        kind = value.get("class_name")
        if kind in ("__lambda__", "function", "Lambda"):
            raise Undescribable
        entries = [(str(k), v) for k, v in value.items() if k not in NOT_COMPUTED and not _start(k)]
        kept = [(k, _connected(v, numbers) if k in CONNECTIONS and numbers else frozen(v, numbers)) for k, v in entries]
        return tuple(sorted(kept, key=lambda entry: entry[0]))
    if isinstance(value, (list, tuple)):
        return tuple(frozen(entry, numbers) for entry in value)
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if hasattr(value, "tolist"):
        return frozen(value.tolist())
    if key_of_class(type(value)) is not None:
        return frozen(serialize(value), numbers)
    raise Undescribable


def _connected(value: Any, numbers: Mapping[str, str]) -> Hashable:
    """How layers are connected, with their numbers in place of their names."""
    if isinstance(value, Mapping):
        return tuple(sorted((str(k), _connected(v, numbers)) for k, v in value.items()))
    if isinstance(value, (list, tuple)):
        return tuple(_connected(entry, numbers) for entry in value)
    return numbers.get(value, value) if isinstance(value, str) else frozen(value)


def _start(name: Any) -> bool:
    """Whether an entry is an initializer, which no program depends on."""
    return str(name).endswith("_initializer")
