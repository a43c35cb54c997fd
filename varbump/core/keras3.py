"""The face for Keras 3, with the TensorFlow backend: the functions of `varbump.core.keras2` for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras.src import activations, backend
from keras.src.models.functional import Functional

from varbump.core.keras3_configs import in_keras2_format, in_keras3_format
from varbump.core.keras3_training import (
    conditional,
    is_compiled_by_xla,
    keep_seeds,
    leave_xla,
    named_layers,
    optimizer_state,
    return_to_xla,
    seed_by_pass,
    seeds_of,
    steps_of,
    updates_through,
)
from varbump.core.keras3_variables import (
    Layer,
    Loss,
    full_name,
    keep_weights,
    trainable_variables_of,
    unwrapped,
    variables_of,
    wrapped,
)

__all__ = [
    "Functional",
    "Layer",
    "Loss",
    "NAME",
    "build_held",
    "conditional",
    "float_dtype",
    "full_name",
    "is_built",
    "is_compiled_by_xla",
    "is_graph_network",
    "keep_seeds",
    "keep_weights",
    "keras",
    "layer_being_called",
    "leave_xla",
    "name_activation",
    "named_layers",
    "network_config",
    "network_from_config",
    "optimizer_state",
    "return_to_xla",
    "seed_by_pass",
    "seeds_of",
    "serialize",
    "steps_of",
    "trainable_variables_of",
    "unwrapped",
    "updates_through",
    "variables_of",
    "wiring",
    "wrapped",
]

NAME = "keras"
"""Name of the package, for messages and for the modules of its classes."""


def serialize(value: Any) -> Any:
    """Return the configuration of a registered object, layer or function, in the format of Keras 2."""
    return in_keras2_format(keras.saving.serialize_keras_object(value))


def network_config(network: keras.Model) -> dict[str, Any]:
    """Return the configuration of a network, in the format of Keras 2."""
    return in_keras2_format(network.get_config())


def network_from_config(cls: Any, config: dict[str, Any]) -> keras.Model:
    """Make a network of a class from its configuration in the format of Keras 2."""
    return cls.from_config(in_keras3_format(config))


def is_graph_network(network: keras.Model) -> bool:
    """Whether the layers of a network and their connections are known: Sequential and functional ones."""
    return isinstance(_graph(network), Functional)


def _graph(network: keras.Model) -> Any:
    """The functional network inside of a Sequential that has been built; any other as it is."""
    return network._functional if isinstance(network, keras.Sequential) else network


def wiring(network: keras.Model) -> list[list[Any]]:
    """For each call of a layer, the number of the layer and of those whose outputs it takes."""
    graph = _graph(network)
    numbers = {id(operation): index for index, operation in enumerate(graph.operations)}
    nodes = [node for depth in graph._nodes_by_depth.values() for node in depth]
    return [
        [numbers.get(id(n.operation)), *(numbers.get(id(t._keras_history.operation)) for t in n.input_tensors)]
        for n in nodes
    ]


def float_dtype(network: keras.Model) -> str:
    """Return the floating type that a network computes in, which is that of its outputs."""
    if not network.built:
        return network.compute_dtype
    outputs = getattr(network, "outputs", None) or network.trainable_variables
    return backend.standardize_dtype(outputs[-1].dtype) if outputs else network.compute_dtype


def is_built(network: keras.Model) -> bool:
    """Whether all weights of a network exist; those of a layer that is the activation of another come with a call."""
    return network.built and all(layer.built for layer in network._flatten_layers())


def build_held(layer: Any, shape: Sequence[int | None]) -> None:
    """Build a layer within a layer of ours, which is not called when Keras connects that with others."""
    if isinstance(layer, keras.layers.Layer) and not layer.built:
        layer.build(tuple(shape))


def layer_being_called() -> None:
    """Nothing: an activation by name is a layer of its own as soon as Keras looks it up."""


class _Activations(dict[str, Any]):
    """The activations that Keras knows by name; one with weights is made anew for each layer."""

    def get(self, name: str, default: Any = None) -> Any:
        """The activation of a name."""
        found = super().get(name, default)
        return found.make() if hasattr(found, "make") else found


def name_activation(name: str, activation: Any) -> None:
    """Let Keras find an activation by its name; its method `make` makes the layer."""
    keras.saving.get_custom_objects()[name] = activation
    if not isinstance(activations.ALL_OBJECTS_DICT, _Activations):
        activations.ALL_OBJECTS_DICT = _Activations(activations.ALL_OBJECTS_DICT)
    activations.ALL_OBJECTS_DICT[name] = activation  # `keras.activations.get` asks nothing else
