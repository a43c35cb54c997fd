"""What any activation with weights is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from varbump.core.keras import keras

__all__ = ["TrainableActivation"]


class TrainableActivation(keras.layers.Layer):
    """An activation with weights of its own: a layer whose outputs have the shape of its inputs.

    Attributes
    ----------
    short_name : str or None
        Of the class: what ``activation="..."`` calls it, see `ActivationByName`.
    words : mapping of str to collection of str
        Of the class: which words its arguments take, by argument; files may hold these and no others.
    why_no_gradient : tuple of two str
        Of the class: a sentence about a weight whose gradient is 0 for all inputs, with ``{name!r}`` where the name
        of the layer goes, and what to do about it.
    """

    short_name: ClassVar[str | None] = None
    words: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    why_no_gradient: ClassVar[tuple[str, str]] = (
        "No input of layer {name!r} moves it.",
        "Start it elsewhere, or standardise the inputs.",
    )

    def weight_shapes(self, input_shape: Any) -> list[tuple[int, ...]]:
        """Shapes of the weights, in their order, that `build` would make for inputs of this shape (None, ..., D)."""
        raise NotImplementedError

    @classmethod
    def check_definition(cls) -> None:
        """Raise a TypeError that names the method that a subclass lacks."""
        if cls.weight_shapes is TrainableActivation.weight_shapes:
            raise TypeError(f"{cls.__name__} lacks the method weight_shapes(self, input_shape)")
