"""Tensors as one vector for each of their types, since a collective costs the same for one number and for thousands."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

__all__ = ["packed", "unpacked"]


def packed(tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Join tensors to one vector for each of their types, in the order of the names of the types."""
    found: dict[tf.DType, list[tf.Tensor]] = {}
    for tensor in tensors:
        found.setdefault(tensor.dtype, []).append(tf.reshape(tensor, [-1]))
    return [tf.concat(found[dtype], 0) for dtype in sorted(found, key=lambda dtype: dtype.name)]


def unpacked(vectors: Sequence[tf.Tensor], like: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Take the vectors of `packed` apart again, into tensors of the types and shapes of others."""
    left = {vector.dtype: vector for vector in vectors}
    found = []
    for tensor in like:
        size, vector = tensor.shape.num_elements(), left[tensor.dtype]
        found.append(tf.reshape(vector[:size], tensor.shape))
        left[tensor.dtype] = vector[size:]
    return found
