"""Functions drawn from q, evaluated piece by piece in one compiled program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from varbump._keras import float_dtype, keras
from varbump.forward import ForwardPass, count_noise, run_pass, standard_normal

__all__ = ["Sampler"]

MAX_BYTES = 64 * 2**20
"""Bound on the result of one compiled call, and on the noise that is held at a time."""

DRAWS_A_BLOCK = 32
"""Noise comes in blocks of this many draws, each with a seed of its own: draw s is the same however many there are."""


class Sampler:
    """Draws f(x; w_s), s = 0 ... S - 1, for one seed.

    The weights of draw s depend on the seed and on s, never on the rows: whatever the pieces, a draw is one function.

    Parameters
    ----------
    network : tf_keras.Model
    num_draws : int
        S.
    seed : int
    chunk_size : int or None
        Rows a compiled call.
    """

    def __init__(self, network: keras.Model, num_draws: int, seed: int, chunk_size: int | None) -> None:
        self._evaluate, self._noise_size = _compiled(network)
        self._dtype = tf.as_dtype(float_dtype(network))
        self._num_draws, self._seed, self._chunk_size = num_draws, seed, chunk_size

    def draws(self, x: np.ndarray) -> Iterator[tuple[slice, slice, np.ndarray]]:
        """Pieces of the result for x (N, D): which draws, which rows, and their values (S', N', Q)."""
        bytes_a_draw = max(self._noise_size, 1) * self._dtype.size
        stride = max(MAX_BYTES // bytes_a_draw // DRAWS_A_BLOCK, 1) * DRAWS_A_BLOCK
        for start in range(0, self._num_draws, stride):
            which = slice(start, min(start + stride, self._num_draws))
            noise, seeds = self._noise(which)
            for rows, values in self._rows(x, noise, seeds):
                yield which, rows, values

    def chunks(self, x: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """The same with all draws of some rows together: which rows, and their values (S, N', Q)."""
        size = self._chunk_size or self._default_chunk(self._num_draws, 1)
        for start in range(0, len(x), size):
            rows = slice(start, min(start + size, len(x)))
            parts = [values for _, _, values in self.draws(x[rows])]
            yield rows, np.concatenate(parts) if len(parts) > 1 else parts[0]

    def _noise(self, which: slice) -> tuple[tf.Tensor, np.ndarray]:
        blocks = range(which.start // DRAWS_A_BLOCK, -(-which.stop // DRAWS_A_BLOCK))
        seeds = np.array([np.random.SeedSequence((self._seed, block)).generate_state(2) for block in blocks])
        noise = _noise_blocks(seeds.astype(np.uint32).view(np.int32), self._noise_size, self._dtype)
        count = which.stop - which.start
        draw_seeds = np.random.SeedSequence((self._seed, which.start, 1)).generate_state(2 * count)
        return noise[:count], draw_seeds.view(np.int32).reshape(count, 2)

    def _rows(self, x: np.ndarray, noise: tf.Tensor, seeds: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        size = min(self._chunk_size or self._default_chunk(len(seeds), 1), _rounded_up(len(x)))
        for start in range(0, len(x), size):
            piece = x[start : start + size]
            padding = [(0, size - len(piece))] + [(0, 0)] * (x.ndim - 1)  # one shape, one compilation
            values = self._evaluate(tf.constant(np.pad(piece, padding)), noise, seeds).numpy()
            yield slice(start, start + len(piece)), values[:, : len(piece)]

    def _default_chunk(self, num_draws: int, num_outputs: int) -> int:
        return max(MAX_BYTES // (num_draws * num_outputs * self._dtype.size), 1)


def _rounded_up(size: int) -> int:
    """The next number of two significant binary digits more than the leading one: few shapes, little padding."""
    step = 2 ** max(size.bit_length() - 4, 0)
    return -(-size // step) * step


def _compiled(network: keras.Model) -> tuple[Callable[..., tf.Tensor], int]:
    """The compiled evaluation of a network and the noise it takes, kept with the network between calls."""
    layers = tuple(map(id, network._flatten_layers()))
    cached = network.__dict__.get("_varbump_sampler")
    if cached is None or cached[0] != layers:

        def evaluate(x: tf.Tensor, noise: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
            def one(draw: Any) -> tf.Tensor:
                with run_pass(ForwardPass(*draw)):
                    return tf.cast(network(x, training=False), noise.dtype)

            return tf.map_fn(one, (noise, seeds), fn_output_signature=noise.dtype)

        shape = [1, *network.input_shape[1:]]
        dtype = tf.as_dtype(float_dtype(network))
        size = count_noise(lambda: network(tf.zeros(shape, dtype), training=False))
        cached = layers, tf.function(evaluate, jit_compile=True, autograph=False), size
        object.__setattr__(network, "_varbump_sampler", cached)  # past the attribute tracking of Keras
    return cached[1], cached[2]


@tf.function(jit_compile=True, autograph=False)
def _noise_blocks(seeds: tf.Tensor, size: int, dtype: tf.DType) -> tf.Tensor:
    """Standard normal noise (blocks x DRAWS_A_BLOCK, size), each block a function of its seed."""
    blocks = tf.map_fn(
        lambda seed: standard_normal([DRAWS_A_BLOCK, size], seed, dtype), seeds, fn_output_signature=dtype
    )
    return tf.reshape(blocks, [-1, size])
