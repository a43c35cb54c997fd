"""The affine map of a layer's inputs, by one kernel and bias for all rows."""

from __future__ import annotations

import tensorflow as tf

from varbump.forward.apply import active_pass

__all__ = ["affine", "affine_rows_last", "rows_last"]


def affine(inputs: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None) -> tf.Tensor:
    """``inputs @ kernel + bias``, for inputs (..., D) and a kernel (D, U)."""
    outputs = tf.tensordot(inputs, kernel, axes=1)
    return outputs if bias is None else tf.nn.bias_add(outputs, bias)


def affine_rows_last(inputs: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None) -> tf.Tensor:
    """The same for inputs (B, D), computed with the rows along the last axis."""
    outputs = tf.matmul(kernel, inputs, transpose_a=True, transpose_b=True)
    return tf.transpose(outputs if bias is None else outputs + bias[:, None])


def rows_last(inputs: tf.Tensor) -> bool:
    """Whether to compute with the rows along the last axis: XLA then vectorises over many rows, not few units.

    XLA cancels the transpositions of consecutive layers; outside of compiled programs they would be carried out.
    """
    return active_pass() is not None and inputs.shape.rank == 2 and (inputs.shape[0] or 0) > 256
