"""Trainable activations by name, such as ``Dense(8, activation="bump")``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from varbump.core.keras import NAME, keras, layer_being_called, name_activation

__all__ = ["ActivationByName", "resolve_activation"]


class ActivationByName:
    """Entry in Keras' registry of activations that gives each layer using the name its own activation layer.

    Keras expects a function without weights under a name. On its first call, this object replaces itself by a new
    layer, which the calling layer then tracks, trains and saves.

    Parameters
    ----------
    name : str
        Name to register.
    make : callable
        Makes the activation layer.
    """

    def __init__(self, name: str, make: Callable[[], keras.layers.Layer]) -> None:
        self.__name__ = name
        self.make = make
        name_activation(name, self)

    def __call__(self, inputs: Any) -> Any:
        """Replace this object in the layer that is being called, and apply the replacement."""
        owner = layer_being_called()
        if owner is None or getattr(owner, "activation", None) is not self:
            raise ValueError(
                f"{self.__name__!r} is an activation with weights, which only a layer can hold: pass it as activation= "
                f"of a {NAME} layer, or use varbump.layers.{self.make.__name__}() as a layer"
            )
        owner.activation = self.make()
        return owner.activation(inputs)


def resolve_activation(activation: Any) -> Any:
    """Activation for a name, function, layer or None; one with weights is a new layer."""
    if isinstance(activation, type):
        raise TypeError(
            f"activation must be an instance, not the class {activation.__name__}: write {activation.__name__}()"
        )
    activation = keras.activations.get(activation)
    return activation.make() if isinstance(activation, ActivationByName) else activation
