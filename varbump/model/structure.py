"""The layers of a model, and which of them a weight belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from varbump.core.keras import keras

__all__ = ["layer_names", "leaves", "owners", "weight_label"]


def leaves(model: keras.Model) -> Iterator[Any]:
    """Layers of a model and of the models that are layers of it; what a layer holds inside of itself stays its own."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from leaves(layer)
        else:
            yield layer


def owners(model: keras.Model) -> dict[Any, str]:
    """Name of the layer of each variable, by its reference; those of the model itself go by the model's name."""
    found = {variable.ref(): model.name for variable in model.variables}
    for layer in leaves(model):
        found |= {variable.ref(): layer.name for variable in layer.variables}
    return found


def layer_names(model: keras.Model) -> set[str]:
    """Names under which operations of the layers are traced."""
    return {layer.name for layer in leaves(model)}


def weight_label(variable: Any) -> str:
    """Name of a variable without the number of its output and the scopes above it."""
    return variable.name.split(":")[0].rsplit("/", 1)[-1]
