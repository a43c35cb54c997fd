"""Variational layers of TensorFlow Probability: inside a pass they take one draw of all their weights from it.

Outside of a pass, such as in Keras `fit`, they do as before: one draw for each call, or noise for each row. Like a
variable, a layer gets another class once, whose `call` consults the context first.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import tensorflow as tf
from tensorflow_probability import layers as tfpl

from varbump.forward._context import active_pass

__all__ = ["adopt", "is_stock"]

BASES = (
    *tfpl.DenseReparameterization.__mro__[1:2],  # of all dense layers with separate posteriors of kernel and bias
    *tfpl.Convolution1DReparameterization.__mro__[2:3],  # and of the convolutions
)


def is_stock(layer: Any) -> bool:
    """Whether it is a variational layer of TFP, or a subclass of one."""
    return isinstance(layer, (tfpl.DenseVariational, *BASES))


def adopt(layer: Any) -> None:
    """Have a variational layer of TFP take its weights from the active pass; other layers stay as they are."""
    if is_stock(layer) and type(layer).__module__.startswith("tensorflow_probability.") and not _is_adopted(layer):
        found: Any = type(layer)
        layer.__class__ = _adopted(found)


def _is_adopted(layer: Any) -> bool:
    return isinstance(layer, _Adopted)


class _Adopted:
    """Marks the classes made by `_adopted`."""


@cache
def _adopted(cls: Any) -> type:
    """Make a subclass that draws in a pass; it has the names of `cls`, by which Keras saves layers."""
    outputs: Callable[..., Any] = _dense_variational if issubclass(cls, tfpl.DenseVariational) else _separate

    def call(self: Any, inputs: tf.Tensor) -> tf.Tensor:
        forward = active_pass()
        if forward is None:
            return cls.call(self, inputs)
        self.add_loss(tf.zeros([]))  # otherwise Keras lists the KL of the call in which it built the network
        return outputs(self, tf.cast(inputs, self.dtype), forward)

    names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    return type(cls.__name__, (_Adopted, cls), {**names, "call": call})


def _dense_variational(layer: Any, inputs: tf.Tensor, forward: Any) -> tf.Tensor:
    """Outputs of `tfp.layers.DenseVariational` for one draw of kernel and bias, which are one vector."""
    num_inputs, num_biases = inputs.shape[-1], layer.units if layer.use_bias else 0
    size = num_inputs * layer.units

    def draw() -> tuple[tf.Tensor, None]:
        w = layer._posterior(inputs).sample(seed=forward.take_seed())
        if w.shape.as_list() != [size + num_biases]:
            raise ValueError(
                f"the posterior of layer {layer.name!r} gives draws of shape {w.shape}, not ({size + num_biases},): "
                f"weights that differ from row to row are no function"
            )
        return w, None

    w, _ = forward.draw(draw, layer, inputs)
    outputs = tf.tensordot(inputs, tf.reshape(w[:size], [num_inputs, layer.units]), 1)
    outputs = tf.nn.bias_add(outputs, w[size:]) if layer.use_bias else outputs
    return outputs if layer.activation is None else layer.activation(outputs)


def _separate(layer: Any, inputs: tf.Tensor, forward: Any) -> tf.Tensor:
    """Outputs of the other layers, which have separate posteriors, for one draw of both, whatever their estimator."""
    posteriors = [q for q in (layer.kernel_posterior, layer.bias_posterior) if q is not None]
    shapes = [q.batch_shape + q.event_shape for q in posteriors]

    def draw() -> tuple[tf.Tensor, None]:
        return tf.concat([tf.reshape(q.sample(seed=forward.take_seed()), [-1]) for q in posteriors], 0), None

    w, _ = forward.draw(draw, layer, inputs)
    parts = tf.split(w, [shape.num_elements() for shape in shapes])
    kernel, *bias = [tf.reshape(part, shape) for part, shape in zip(parts, shapes, strict=True)]
    rank = getattr(layer, "rank", None)
    outputs = tf.tensordot(inputs, kernel, 1) if rank is None else layer._convolution_op(inputs, kernel)
    if bias:
        last = rank is None or layer.data_format == "channels_last"
        outputs += bias[0] if last else tf.reshape(bias[0], [-1, *[1] * layer.rank])
    return outputs if layer.activation is None else layer.activation(outputs)
