"""The Keras in use: `tf_keras` (Keras 2), on which TensorFlow Probability is built.

All other modules import Keras from here, so the choice is made in one place.
"""

from __future__ import annotations

from typing import Any

import tf_keras as keras
from tf_keras.src.backend import RandomGenerator
from tf_keras.src.engine.base_layer_utils import call_context
from tf_keras.src.engine.functional import Functional

__all__ = [
    "Functional",
    "RandomGenerator",
    "check_precision",
    "deserialize",
    "float_dtype",
    "keras",
    "layer_being_called",
    "refuse_keras3",
    "serialize",
]


def serialize(value: Any) -> Any:
    """Return the configuration of a registered object, layer or function, in the format of tf_keras."""
    return keras.saving.serialize_keras_object(value)


def deserialize(config: Any) -> Any:
    """Rebuild an object from its configuration, in any of the formats of tf_keras.

    In the older formats (.h5 and SavedModel) tf_keras looks up nested classes by their bare names and does not find
    those registered under a package.
    """
    if isinstance(config, dict) and "class_name" in config:
        registered = keras.saving.get_registered_object(config.get("registered_name") or config["class_name"])
        if registered is not None and hasattr(registered, "from_config"):
            return registered.from_config(config["config"])
    return keras.saving.deserialize_keras_object(config)


def float_dtype(network: keras.Model) -> str:
    """Return the floating type that a network computes in, which is that of its outputs.

    `network.compute_dtype` follows the global policy, whatever the dtype of the layers.
    """
    if not network.built:
        return network.compute_dtype
    outputs = getattr(network, "outputs", None) or network.trainable_variables
    return outputs[-1].dtype.name if outputs else network.compute_dtype


def check_precision(layer: keras.layers.Layer) -> None:
    """Raise a TypeError unless a layer computes in float32 or float64.

    Half precision, also as part of a mixed policy, rounds x to three digits, and overflows where a KL begins.
    """
    if layer.compute_dtype not in ("float32", "float64", None):
        raise TypeError(
            f"dtype of {layer.name!r} must be float32 or float64, but it computes in {layer.compute_dtype}: build it "
            f"with dtype='float32', or call tf_keras.mixed_precision.set_global_policy('float32') before"
        )


def layer_being_called() -> keras.layers.Layer | None:
    """Return the innermost layer whose `call` is running."""
    return call_context().layer


def refuse_keras3(value: Any, argument: str) -> None:
    """Raise a one-sentence error if `value` is an object of Keras 3.

    From TensorFlow 2.16 on `tf.keras` is Keras 3, whose objects do not mix with those of `tf_keras`.

    Parameters
    ----------
    value : object
        Argument that the user passed.
    argument : str
        Name of the argument, for the message.

    Raises
    ------
    TypeError
        If the class of `value`, or one of its bases, comes from the package `keras`.
    """
    for base in type(value).__mro__:
        if base.__module__.split(".", 1)[0] == "keras":
            raise TypeError(
                f"{argument} is a Keras 3 object ({base.__module__}.{base.__qualname__}), but varbump "
                f"and TensorFlow Probability are built on Keras 2: `import tf_keras` and use its "
                f"tf_keras.{base.__qualname__} counterpart instead of keras or tf.keras."
            )
