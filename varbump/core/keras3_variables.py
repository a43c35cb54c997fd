"""Layers, losses and variables of Keras 3.

Keras 3 wraps each `tf.Variable` in a variable of its own. The package works with the inner ones throughout: those of a
network are unwrapped here, and our layers are handed them by `add_weight`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf
from keras.src import backend
from keras.src.backend.common import global_state

__all__ = [
    "Layer",
    "Loss",
    "full_name",
    "keep_weights",
    "trainable_variables_of",
    "unwrapped",
    "variables_of",
    "wrapped",
]


class Layer(keras.layers.Layer):
    """Base of our layers: weights are variables of TensorFlow, and a loss may be a function, as in Keras 2."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._callable_losses: list[Callable[[], Any]] = []

    def add_weight(self, *args: Any, **kwargs: Any) -> tf.Variable:
        """Add a weight that Keras trains and saves; return the variable of TensorFlow in it."""
        with _real_variables():
            return unwrapped(super().add_weight(*args, **kwargs))

    def add_loss(self, loss: Any) -> None:
        """Add a loss, or a function that is called whenever the losses are collected and may return None."""
        if callable(loss):
            self._callable_losses.append(loss)
        else:
            super().add_loss(loss)

    def _post_build(self) -> None:
        super()._post_build()
        if not self.trainable:  # nor is what `build` has made; Keras sees to that only when the attribute is set later
            for part in [*self._trainable_variables, *self._layers]:
                part.trainable = False

    def _get_own_losses(self) -> list[Any]:
        found = [loss() for loss in self._callable_losses]
        return [*super()._get_own_losses(), *(loss for loss in found if loss is not None)]


@contextmanager
def _real_variables() -> Iterator[None]:
    """Make variables at once inside the block; Keras puts this off while it finds the shapes of a subclassed model."""
    scope = global_state.get_global_attribute("stateless_scope")
    global_state.set_global_attribute("stateless_scope", None)
    try:
        with tf.init_scope():
            yield
    finally:
        global_state.set_global_attribute("stateless_scope", scope)


class Loss(keras.losses.Loss):
    """Base of our losses: the reduction "auto" is the mean over the batch, and the dtype may be set."""

    def __init__(self, *, reduction: str = "auto", name: str | None = None) -> None:
        super().__init__(name=name, reduction="sum_over_batch_size" if reduction == "auto" else reduction)

    @property
    def dtype(self) -> Any:
        """Type in which Keras computes the loss."""
        return self._dtype

    @dtype.setter
    def dtype(self, value: Any) -> None:
        self._dtype = backend.standardize_dtype(value)


class _Wrapping(backend.Variable):
    """Variable of Keras around one of TensorFlow that was made elsewhere."""

    def __init__(self, variable: tf.Variable) -> None:
        self._made = variable
        name = variable.name.split(":")[0].replace("/", "_")
        shape, dtype = tuple(variable.shape), variable.dtype.name
        super().__init__(lambda *_, **__: None, shape, dtype, trainable=variable.trainable, autocast=False, name=name)

    def _initialize(self, value: Any) -> None:
        del value
        self._value = self._made


def unwrapped(variable: Any) -> Any:
    """Return the variable of TensorFlow in one of Keras; any other as it is."""
    if not isinstance(variable, backend.Variable):
        return variable
    inner = variable._value
    if inner is not None:
        inner._varbump_wrapper = variable
    return inner


def wrapped(variables: Iterable[tf.Variable]) -> list[Any]:
    """The variables as optimisers take them: of Keras, always the same for the same variable of TensorFlow."""
    found = []
    for variable in variables:
        wrapper = getattr(variable, "_varbump_wrapper", None)
        if wrapper is None and not isinstance(variable, backend.Variable):
            wrapper = variable._varbump_wrapper = _Wrapping(variable)
        found.append(variable if wrapper is None else wrapper)
    return found


def full_name(variable: tf.Variable) -> str:
    """Name of a variable with that of its layer."""
    path = getattr(getattr(variable, "_varbump_wrapper", None), "path", variable.name)
    return "/".join(path.split("/")[-2:])


def variables_of(owner: Any) -> list[tf.Variable]:
    """Variables of a network, a layer or an optimiser, in their order, without the states of random seeds."""
    found = owner.weights if isinstance(owner, keras.layers.Layer) else owner.variables
    return [unwrapped(variable) for variable in found]


def trainable_variables_of(owner: Any) -> list[tf.Variable]:
    """Those of the variables that are trained; none for an owner without any."""
    return [unwrapped(variable) for variable in getattr(owner, "trainable_variables", [])]


def keep_weights(layer: Any, variables: Sequence[tf.Variable]) -> None:
    """Have a layer train and save variables that were made elsewhere."""
    for variable in wrapped(variables):
        layer._track_variable(variable)
