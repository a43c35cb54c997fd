"""Noise of a layer that is called on its own, outside of compiled programs."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from varbump.core.random import standard_normal
from varbump.posteriors import Posterior

__all__ = ["OwnNoise", "noise_of"]


class OwnNoise:
    """Noise of a layer called outside of a `ForwardPass`, from one seed.

    The generators of the layers of a joint posterior start and advance together, so each layer can reproduce the
    noise of those before it.
    """

    def __init__(self, seed: tf.Tensor) -> None:
        self._seed, self._calls = seed, 0

    def take(self, size: Any, dtype: tf.DType) -> tf.Tensor:
        """The next `size` standard normal numbers, shape (size,)."""
        return standard_normal([size], self.take_seed(), dtype)

    def take_after(self, preceding: tuple[int, ...], size: int, dtype: tf.DType) -> tf.Tensor:
        """Noise of the preceding joint layers, followed by that of this one."""
        seeds = [self._seed - tf.constant([0, 1 + layer], tf.int32) for layer in range(len(preceding) + 1)]
        parts = zip((*preceding, size), seeds, strict=True)
        return tf.concat([standard_normal([n], seed, dtype) for n, seed in parts], 0)

    def take_signs(self, num_rows: Any, dtype: tf.DType) -> tf.Tensor:
        """A random sign for each row, the same for all joint layers."""
        return tf.sign(standard_normal([num_rows], self._seed, dtype))

    def take_seed(self) -> tf.Tensor:
        """A stateless seed (2,)."""
        self._calls += 1
        return self._seed + tf.constant([0, self._calls], tf.int32)


def noise_of(q: Posterior, source: Any) -> tf.Tensor:
    """Noise for one draw of q, taken from a pass or from the layer's own generator."""
    if q.preceding is None:
        return source.take(q.num_noise, q.dtype)
    return source.take_after(q.preceding, q.num_noise, q.dtype)
