"""The response of a network's outputs to its weights, row by row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from varbump.core.keras import keras
from varbump.core.tracing import vectorized

__all__ = ["NOT_DIFFERENTIABLE", "outputs_and_jacobian"]

NOT_DIFFERENTIABLE = (LookupError, NotImplementedError, tf.errors.OpError)
"""What TensorFlow raises where an operation has no derivative, of first or second order."""


def outputs_and_jacobian(
    f: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], x: tf.Tensor, w: tf.Tensor, network: keras.Model
) -> tuple[tf.Tensor, tf.Tensor]:
    """Outputs f(x; w) (B, Q) at rows x (B, ...) and weights w (P,), and their Jacobians (B, Q, P) with respect to w.

    Weights that f does not use have zeros. `network` is what f evaluates: recurrent layers hold loops, whose gradients
    cannot be vectorised over rows.
    """

    def row(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(w)
            outputs = tf.unstack(tf.reshape(f(x[None], w), [-1]))
        slopes = [tape.gradient(output, w, unconnected_gradients="zero") for output in outputs]
        return tf.stack(outputs), tf.stack(slopes)

    return (_one_by_one if _has_loops(network) else vectorized)(row, x)


def _has_loops(network: keras.Model) -> bool:
    layers = network._flatten_layers()
    return any(isinstance(layer, keras.layers.RNN) and not layer.unroll for layer in layers)


def _one_by_one(function: Any, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return tf.map_fn(function, x, fn_output_signature=(x.dtype, x.dtype))
