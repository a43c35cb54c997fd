"""Trainable activations by name, such as ``Dense(8, activation="bump")``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from varbump.core.keras import keras, layer_being_called

__all__ = ["ActivationByName", "resolve_activation"]


class ActivationByName:
    """What tf_keras finds under a name: it gives each layer that uses the name an activation layer of its own.

    tf_keras takes what is registered under a name as a function without weights. On the first call this one puts a
    fresh layer in its own place, which the calling layer then tracks, trains and saves.

    Parameters
    ----------
    name : str
        The name to register.
    make : callable
        Makes the activation layer.
    """

    def __init__(self, name: str, make: Callable[[], keras.layers.Layer]) -> None:
        self.__name__ = name
        self.make = make
        keras.saving.get_custom_objects()[name] = self

    def __call__(self, inputs: Any) -> Any:
        """Replace itself in the layer that is being called, and apply the replacement."""
        owner = layer_being_called()
        if owner is None or getattr(owner, "activation", None) is not self:
            raise ValueError(
                f"{self.__name__!r} is an activation with weights, which only a layer can hold: pass it as activation= "
                f"of a tf_keras layer, or use varbump.layers.{self.make.__name__}() as a layer"
            )
        owner.activation = self.make()
        return owner.activation(inputs)


def resolve_activation(activation: Any) -> Any:
    """The activation that tf_keras finds for a name, function, layer or None, with weights of its own if it has any."""
    if isinstance(activation, type):
        raise TypeError(
            f"activation must be an instance, not the class {activation.__name__}: write {activation.__name__}()"
        )
    activation = keras.activations.get(activation)
    return activation.make() if isinstance(activation, ActivationByName) else activation
