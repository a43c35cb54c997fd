"""Structure of networks and likelihoods; those of equal structure share compiled programs."""

from __future__ import annotations

import inspect
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import tensorflow as tf

from varbump.core.keras import keras, serialize
from varbump.core.registry import key_of_class

__all__ = ["Undescribable", "frozen", "likelihood_structure", "network_structure"]

PURE = {
    "Activation", "ActivityRegularization", "Add", "AlphaDropout", "Average", "BatchNormalization", "Concatenate",
    "Dense", "Dropout", "ELU", "Flatten", "GaussianDropout", "GaussianNoise", "InputLayer", "LayerNormalization",
    "LeakyReLU", "Maximum", "Minimum", "Multiply", "PReLU", "ReLU", "Rescaling", "Reshape", "Softmax", "Subtract",
    "UnitNormalization", "Sequential", "Functional",
}  # fmt: skip
"""Layers of tf_keras whose outputs depend only on their configuration, their inputs and their variables. `Lambda` holds
code, and `Normalization` keeps tensors besides its variables: networks with these do not share programs."""

CONNECTIONS = {"inbound_nodes", "input_layers", "output_layers"}
"""Keys of configurations that hold names of layers."""

NOT_COMPUTED = {"name", "seed", "build_config", "build_input_shape", "kl_weight", "trainable", "batch_input_shape"}
"""Keys of configurations that compiled programs do not depend on."""


class Undescribable(Exception):
    """Raised for an object whose configuration does not determine what it computes."""


def network_structure(network: keras.Model) -> Hashable:
    """Return a value that is equal for networks that compute the same function of inputs, noise and variables.

    If the configuration does not determine the function, the value is unique to this network.
    """
    layers = [(layer, getattr(layer, "activation", None)) for layer in network._flatten_layers()]
    held = network.__dict__.get("_varbump_structure")
    if held is not None and len(held[0]) == len(layers):
        if all(a is b and f is g for (a, f), (b, g) in zip(held[0], layers, strict=True)):
            return held[1]
    try:
        structure = _described(network)
    except Undescribable:
        structure = ("a network of its own", object())
    object.__setattr__(network, "_varbump_structure", (layers, structure))  # bypasses the attribute tracking of Keras
    return structure


def _described(network: keras.Model) -> Hashable:
    if not network._is_graph_network:
        raise Undescribable
    layers = list(_layers(network))
    if not all(_describes_itself(type(layer)) for layer in layers):
        raise Undescribable
    numbers = {layer.name: f"layer {index}" for index, layer in enumerate(layers)}
    variables = tuple((tuple(v.shape), v.dtype.name, bool(v.trainable)) for v in network.variables)
    try:
        configuration = network.get_config()
    except NotImplementedError as error:
        raise Undescribable from error
    parts = [getattr(layer, name, None) for layer in layers for name in ("make_posterior_fn", "make_prior_fn")]
    # a function of one's own may have the name of one of Keras, which is all that a configuration says of it
    functions = tuple(f for f in (getattr(layer, "activation", None) for layer in layers) if inspect.isfunction(f))
    return frozen(configuration, numbers), variables, functions, tuple(_attributes(part) for part in parts)


def _layers(network: keras.Model) -> Iterator[Any]:
    """Yield a model, its layers and those of nested models; other layers describe what they contain."""
    yield network
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        else:
            yield layer


def _describes_itself(cls: type) -> bool:
    """Whether the configuration of a layer determines what it computes."""
    if cls.__module__.startswith("tf_keras."):
        return cls.__name__ in PURE
    return key_of_class(cls) is not None or keras.saving.get_registered_name(cls) != cls.__name__


def likelihood_structure(likelihood: Any) -> Hashable:
    """Return a value that is equal for likelihoods that compute the same function of their variables."""
    try:
        if hasattr(likelihood, "structure"):
            return type(likelihood), frozen(likelihood.structure()), _attributes(likelihood)
        return ("a likelihood of its own", likelihood)
    except Undescribable:
        return ("a likelihood of its own", likelihood)


def _attributes(part: Any) -> Hashable:
    """Attributes of an object of a user's class, since its methods may use any of them; otherwise None."""
    if type(part).__module__.startswith(("varbump.", "builtins")):
        return None
    held = {name: value for name, value in vars(part).items() if not isinstance(value, tf.Variable)}
    return frozen({name: value for name, value in held.items() if name not in ("_name", "name", "reduction")})


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
