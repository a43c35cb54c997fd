"""Base of all activations with weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import tensorflow as tf

from varbump.core.keras import Layer

__all__ = ["TrainableActivation"]


class TrainableActivation(Layer):
    """Base of activations with weights: layers whose outputs have the shape of their inputs.

    Attributes
    ----------
    short_name : str or None
        Class attribute: name for ``activation="..."``, see `ActivationByName`.
    words : mapping of str to collection of str
        Class attribute: words that each argument accepts, by its name; saved files may contain no others.
    why_no_gradient : tuple of two str
        Class attribute: a sentence about a weight whose gradient is 0 for all inputs, with ``{name!r}`` as the
        placeholder for the name of the layer, and a sentence that says what to do about it.
    """

    short_name: ClassVar[str | None] = None
    words: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    why_no_gradient: ClassVar[tuple[str, str]] = (
        "No input of layer {name!r} moves it.",
        "Start it elsewhere, or standardise the inputs.",
    )

    def weight_shapes(self, input_shape: Any) -> list[tuple[int, ...]]:
        """Shapes of the weights that `build` would create for inputs (None, ..., D), in their order."""
        raise NotImplementedError

    def compute_output_shape(self, input_shape: Any) -> tf.TensorShape:
        """Shape of the inputs."""
        return tf.TensorShape(input_shape)

    @classmethod
    def check_definition(cls) -> None:
        """Raise a TypeError that names a method missing from the subclass."""
        if cls.weight_shapes is TrainableActivation.weight_shapes:
            raise TypeError(f"{cls.__name__} lacks the method weight_shapes(self, input_shape)")
