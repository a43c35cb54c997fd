"""The noise of a layer that is called by itself, outside of the compiled loops."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from varbump.core.random import standard_normal
from varbump.posteriors import Posterior

__all__ = ["OwnNoise", "noise_of"]


class OwnNoise:
    """Noise of a call outside of a `ForwardPass`, from one seed.

    The layers of a joint posterior have generators that start and advance alike, so that each can make the noise of
    those before it again.
    """

    def __init__(self, seed: tf.Tensor) -> None:
        self._seed, self._calls = seed, 0

    def take(self, size: Any, dtype: tf.DType) -> tf.Tensor:
        """The next `size` numbers."""
        return standard_normal([size], self.take_seed(), dtype)

    def take_after(self, preceding: tuple[int, ...], size: int, dtype: tf.DType) -> tf.Tensor:
        """The noise of the joint layers before, then that of this one."""
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
    """What a draw of q takes from a pass, or from a layer's own generator."""
    if q.preceding is None:
        return source.take(q.num_noise, q.dtype)
    return source.take_after(q.preceding, q.num_noise, q.dtype)
