"""Layers of a model, and the owners of its weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from varbump.core.keras import keras, variables_of

__all__ = ["layer_names", "leaves", "owners", "weight_label"]


def leaves(model: keras.Model) -> Iterator[Any]:
    """Iterate over the layers of a model and of nested models; sublayers of other layers are not visited."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from leaves(layer)
        else:
            yield layer


def owners(model: keras.Model) -> dict[Any, str]:
    """Map references of variables to the names of their layers, or to that of the model for its own variables."""
    found = {variable.ref(): model.name for variable in variables_of(model)}
    for layer in leaves(model):
        found |= {variable.ref(): layer.name for variable in variables_of(layer)}
    return found


def layer_names(model: keras.Model) -> set[str]:
    """Return the names under which operations of the layers are traced."""
    return {layer.name for layer in leaves(model)}


def weight_label(variable: Any) -> str:
    """Return the name of a variable without its scopes and output number."""
    return variable.name.split(":")[0].rsplit("/", 1)[-1]
