"""The face for Keras 2, `tf_keras`, on which TensorFlow Probability is built."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras
from tf_keras.src.engine.base_layer_utils import call_context
from tf_keras.src.engine.functional import Functional

from varbump.core.keras2_training import (
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
    unwrapped,
    updates_through,
)
from varbump.core.tracing import forget_scratch_graphs

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

NAME = "tf_keras"
"""Name of the package, for messages and for the modules of its classes."""


class Layer(keras.layers.Layer):
    """Base of our layers, which leave no graph behind in which Keras has inferred the shapes of their outputs."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Apply the layer."""
        outputs = super().__call__(*args, **kwargs)
        if keras.backend.is_keras_tensor(outputs):
            forget_scratch_graphs()
        return outputs


Loss = keras.losses.Loss
"""Base of our losses."""


def variables_of(owner: Any) -> list[tf.Variable]:
    """Variables of a network, a layer or an optimiser, in their order."""
    return list(owner.variables)


def trainable_variables_of(owner: Any) -> list[tf.Variable]:
    """Those of the variables that are trained; none for an owner without any."""
    return list(getattr(owner, "trainable_variables", []))


def full_name(variable: tf.Variable) -> str:
    """Name of a variable with that of its layer."""
    return variable.name


def wrapped(variables: Iterable[tf.Variable]) -> list[Any]:
    """The variables as optimisers take them."""
    return list(variables)


def keep_weights(layer: Any, variables: Sequence[tf.Variable]) -> None:
    """Have a layer train and save variables that were made elsewhere."""
    layer._kept_by_factories = variables  # as an attribute, Keras tracks and trains them


def serialize(value: Any) -> Any:
    """Return the configuration of a registered object, layer or function, in the format of tf_keras."""
    return keras.saving.serialize_keras_object(value)


def network_config(network: keras.Model) -> dict[str, Any]:
    """Return the configuration of a network, in the format of tf_keras."""
    return network.get_config()


def network_from_config(cls: Any, config: dict[str, Any]) -> keras.Model:
    """Make a network of a class from its configuration in the format of tf_keras."""
    return cls.from_config(config)


def is_graph_network(network: keras.Model) -> bool:
    """Whether the layers of a network and their connections are known: Sequential and functional ones."""
    return bool(getattr(network, "_is_graph_network", False))


def wiring(network: keras.Model) -> list[list[Any]]:
    """For each call of a layer, the number of the layer and of those whose outputs it takes."""
    numbers = {id(layer): index for index, layer in enumerate(network._self_tracked_trackables)}
    nodes = [node for depth in network._nodes_by_depth.values() for node in depth]
    return [[numbers.get(id(n.layer)), *(numbers.get(id(e[0])) for e in n.iterate_inbound())] for n in nodes]


def float_dtype(network: keras.Model) -> str:
    """Return the floating type that a network computes in, which is that of its outputs.

    `network.compute_dtype` follows the global policy, whatever the dtype of the layers.
    """
    if not network.built:
        return network.compute_dtype
    outputs = getattr(network, "outputs", None) or network.trainable_variables
    return outputs[-1].dtype.name if outputs else network.compute_dtype


def is_built(network: keras.Model) -> bool:
    """Whether all weights of a network exist."""
    return network.built


def build_held(layer: Any, shape: Sequence[int | None]) -> None:
    """Do nothing: a layer within a layer of ours is built when Keras connects that with others, by a call."""


def layer_being_called() -> keras.layers.Layer | None:
    """Return the innermost layer whose `call` is running."""
    return call_context().layer


def name_activation(name: str, activation: Any) -> None:
    """Let Keras find an activation by its name."""
    keras.saving.get_custom_objects()[name] = activation
