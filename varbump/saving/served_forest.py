"""The columns of a forest as operations of TensorFlow."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from varbump.estimator.forest import LARGEST, RESOLUTION, ForestEmbedding

__all__ = ["ServedForest"]


class ServedForest(tf.Module):
    """Embedding of rows by the trees of a `ForestEmbedding`, whose nodes are stored one tree after the other.

    All trees are descended at the same time, as many steps as the deepest one has; a leaf is its own child.

    Parameters
    ----------
    embedding : ForestEmbedding
    """

    def __init__(self, embedding: ForestEmbedding) -> None:
        super().__init__()
        trees = embedding.trees
        counts = [tree.node_count for tree in trees]
        starts = np.cumsum([0, *counts[:-1]])
        own = np.concatenate([np.arange(count) for count in counts])
        start_of_node = np.repeat(starts, counts)

        def nodes(children: list[np.ndarray]) -> np.ndarray:
            found = np.concatenate(children)
            return (start_of_node + np.where(found < 0, own, found)).astype(np.int32)

        self._left = _kept(nodes([tree.children_left for tree in trees]))
        self._right = _kept(nodes([tree.children_right for tree in trees]))
        self._feature = _kept(np.maximum(np.concatenate([tree.feature for tree in trees]), 0).astype(np.int32))
        self._threshold = _kept(np.concatenate([tree.threshold for tree in trees]))
        values = [tree.value[..., 0] for tree in trees]  # (nodes, Q)
        self._value = _kept(np.concatenate(values))
        self._starts = tf.constant(starts.astype(np.int32))
        self._depth = max(tree.max_depth for tree in trees)
        self._shift, self._unit = tf.constant(embedding.shift), tf.constant(embedding.unit)

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """Columns (N, 2 Q), float64, of rows x (N, D), float64."""
        rows = tf.cast(tf.cast(tf.clip_by_value(x, -LARGEST, LARGEST), tf.float32), tf.float64)

        def descend(at: tf.Tensor) -> tuple[tf.Tensor]:
            values = tf.gather(rows, tf.gather(self._feature, at), batch_dims=1)
            goes_left = values <= tf.gather(self._threshold, at)
            return (tf.where(goes_left, tf.gather(self._left, at), tf.gather(self._right, at)),)

        at = tf.tile(self._starts[None], [tf.shape(rows)[0], 1])  # (N, T)
        (at,) = tf.while_loop(lambda _: True, descend, (at,), maximum_iterations=self._depth)
        values = tf.gather(self._value, at)  # (N, T, Q)
        mean = tf.reduce_mean(values, 1)
        variance = tf.maximum(tf.reduce_mean(values**2, 1) - mean**2, 0.0)
        columns = tf.concat([mean, tf.math.log(tf.sqrt(variance) + RESOLUTION)], axis=-1)
        return (columns - self._shift) / self._unit


def _kept(array: np.ndarray) -> tf.Variable:
    """A variable, since constants of a graph are limited to 2 GB in all."""
    return tf.Variable(array, trainable=False)
