"""Random numbers: all seeds and generators, and all standard normal draws, are made here."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import tensorflow as tf

__all__ = ["ALGORITHM", "LARGEST_SEED", "generator", "host_seed", "standard_normal", "stateless_seeds"]

ALGORITHM = "philox"
"""Counter-based generator behind all draws, which works eagerly, under tf.function and under XLA alike.

"auto_select" is five times slower under XLA on a CPU; "threefry" has no kernel outside XLA.
"""

LARGEST_SEED = 2**31 - 1


def standard_normal(shape: Any, seed: Any, dtype: tf.DType) -> tf.Tensor:
    r"""Draw standard normal numbers from a seed (2,), the same ones eagerly, under tf.function and under XLA.

    :math:`z = \sqrt 2\, \operatorname{erf}^{-1}(2u - 1)` of a uniform u in the middle of one of 2^23 equal cells
    (2^52 in float64), so that no draw is infinite; the largest is 5.3 (8.2). `tf.random.stateless_normal` pairs its
    numbers differently under XLA, and is slower there.
    """
    dtype = tf.as_dtype(dtype)
    bits, dropped = (tf.uint64, 12) if dtype == tf.float64 else (tf.uint32, 9)
    integers = tf.random.stateless_uniform(shape, seed, minval=None, maxval=None, dtype=bits, alg=ALGORITHM)
    cell = tf.cast(tf.bitwise.right_shift(integers, tf.constant(dropped, bits)), dtype)
    width = 2.0 ** (1 + dropped - 8 * bits.size)
    return tf.constant(2.0**0.5, dtype) * tf.math.erfinv((cell + 0.5) * width - 1.0)


def host_seed(seed: int | None) -> int:
    """Return `seed`, or one drawn from TensorFlow's global generator if it is None.

    In this way `tf.random.set_seed` and `tf_keras.utils.set_random_seed` govern everything left unseeded.
    """
    if seed is not None:
        if isinstance(seed, bool) or not isinstance(seed, Integral) or not 0 <= seed <= LARGEST_SEED:
            raise ValueError(f"seed must be an integer from 0 to 2^31 - 1, got {seed!r}")
        return int(seed)
    with tf.init_scope():
        return int(np.asarray(tf.random.uniform([], maxval=LARGEST_SEED, dtype=tf.int32)))


def stateless_seeds(*path: int, count: int = 1) -> np.ndarray:
    """Return seeds of stateless operations, (count, 2) int32, determined by `path`: a seed and a purpose."""
    words = np.random.SeedSequence(path).generate_state(2 * count)
    return words.view(np.int32).reshape(count, 2)


def generator(*path: int) -> np.random.Generator:
    """Return the NumPy generator determined by `path`: a seed and, optionally, numbers for its purpose."""
    return np.random.default_rng(path if len(path) > 1 else path[0])
