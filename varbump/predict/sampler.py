"""Functions drawn from q, evaluated piece by piece in compiled programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import tensorflow as tf

from varbump.core.keras import float_dtype, keras
from varbump.core.random import standard_normal
from varbump.forward.passes import ForwardPass, compiled, rehearse, run_pass

__all__ = ["DrawSource", "Sampler", "StoredSampler", "sampler_of"]

MAX_BYTES = 64 * 2**20
"""Bound on the result of one compiled call."""

NOISE_BYTES = 64 * 2**20
"""Bound on the noise that is held at a time. Part of what defines draw s, so not a setting."""


@runtime_checkable
class DrawSource(Protocol):
    """What functions can be drawn from besides the q of a network: weights that were sampled before, for instance.

    Prediction takes any object with these two, and knows of no class that has them.
    """

    @property
    def network(self) -> keras.Model:
        """The network that says which inputs fit, and of which type."""

    def sampler(self, row_shape: tuple[int, ...], num_draws: int, seed: int, chunk_size: int | None) -> Sampler:
        """What draws f for rows of this shape; its arguments are those of `Sampler`."""


def sampler_of(
    source: keras.Model | DrawSource, row_shape: tuple[int, ...], num_draws: int, seed: int, chunk_size: int | None
) -> Sampler:
    """The sampler of a network, which draws from its q, or the one that any other source of draws has."""
    if isinstance(source, keras.Model):
        return Sampler(source, row_shape, num_draws, seed, chunk_size)
    return source.sampler(row_shape, num_draws, seed, chunk_size)


class Sampler:
    """Draws f(x; w_s), s = 0 ... S - 1, for one seed.

    The weights of draw s depend on the seed and on s, never on the rows: whatever the pieces, a draw is one function.
    They are drawn first and by themselves, so that many pieces of rows share the work.

    Parameters
    ----------
    network : tf_keras.Model
        Built.
    row_shape : tuple of int
        Shape of a row of x.
    num_draws : int
        S.
    seed : int
    chunk_size : int or None
        Rows a compiled call.
    """

    def __init__(
        self, network: keras.Model, row_shape: tuple[int, ...], num_draws: int, seed: int, chunk_size: int | None
    ) -> None:
        self._programs = _programs(network, row_shape)
        self._num_draws, self._seed, self._chunk_size = num_draws, seed, chunk_size
        self._drawn: tuple[slice, tuple[tf.Tensor, ...]] | None = None

    def draws(self, x: np.ndarray) -> Iterator[tuple[slice, slice, np.ndarray]]:
        """Pieces of the result for x (N, D): which draws, which rows, and their values (S', N', Q)."""
        stride = max(NOISE_BYTES // self._programs.bytes_a_draw, 1)
        for start in range(0, self._num_draws, stride):
            which = slice(start, min(start + stride, self._num_draws))
            weights = self._weights(which)
            for rows, values in self._rows(x, weights, which.stop - which.start):
                yield which, rows, values

    def chunks(self, x: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """The same with all draws of some rows together: which rows, and their values (S, N', Q)."""
        size = self._chunk_size or self._default_chunk(self._num_draws)
        for start in range(0, len(x), size):
            rows = slice(start, min(start + size, len(x)))
            parts = [values for _, _, values in self.draws(x[rows])]
            yield rows, np.concatenate(parts) if len(parts) > 1 else parts[0]

    def weights(self) -> tuple[np.ndarray, ...]:
        """Weights (S, n) of each variational layer, in the order in which they are called."""
        stride = max(NOISE_BYTES // self._programs.bytes_a_draw, 1)
        starts = range(0, self._num_draws, stride)
        parts = [self._weights(slice(start, min(start + stride, self._num_draws)))[1:] for start in starts]
        return tuple(np.concatenate(layer) for layer in zip(*parts, strict=True))

    def _weights(self, which: slice) -> tuple[tf.Tensor, ...]:
        if self._drawn is not None and self._drawn[0] == which:  # the next rows of the same draws
            return self._drawn[1]
        count = which.stop - which.start
        states = np.random.SeedSequence((self._seed, which.start)).generate_state(2 + 2 * count).view(np.int32)
        self._drawn = which, self._programs.draw(states[:2], states[2:].reshape(count, 2))
        return self._drawn[1]

    def _rows(self, x: np.ndarray, weights: Any, count: int) -> Iterator[tuple[slice, np.ndarray]]:
        size = min(self._chunk_size or self._default_chunk(count), _rounded_up(len(x)))
        for start in range(0, len(x), size):
            piece = x[start : start + size]
            if len(piece) < size:  # one shape, one compilation
                piece = np.pad(piece, [(0, size - len(piece))] + [(0, 0)] * (x.ndim - 1))
            rows = slice(start, min(start + size, len(x)))
            yield rows, self._programs.evaluate(piece, weights).numpy()[:, : rows.stop - start]

    def _default_chunk(self, count: int) -> int:
        return max(MAX_BYTES // (count * self._programs.bytes_a_value), 1)


class StoredSampler(Sampler):
    """Evaluates f(x; w_s) for weights that are there already.

    Parameters
    ----------
    network : tf_keras.Model
        Built.
    row_shape : tuple of int
        Shape of a row of x.
    weights : sequence of ndarray (S, n)
        Of each variational layer, in the order in which they are called.
    chunk_size : int or None
        Rows a compiled call.
    """

    def __init__(
        self, network: keras.Model, row_shape: tuple[int, ...], weights: Sequence[np.ndarray], chunk_size: int | None
    ) -> None:
        super().__init__(network, row_shape, len(weights[0]), 0, chunk_size)
        self._stored = weights

    def _weights(self, which: slice) -> tuple[tf.Tensor, ...]:
        return (tf.range(which.stop - which.start), *(tf.constant(w[which]) for w in self._stored))


def _rounded_up(size: int) -> int:
    """The next multiple of a sixteenth of the size, or so: few shapes to compile, little padding."""
    step = 2 ** max(size.bit_length() - 5, 0)
    return -(-size // step) * step


class _Programs:
    """The two compiled programs of a network: noise to weights, and weights and rows to values."""

    def __init__(self, network: keras.Model, row_shape: tuple[int, ...]) -> None:
        dtype = tf.as_dtype(float_dtype(network))
        one_row = tf.TensorSpec([1, *row_shape], dtype)

        def run(x: tf.Tensor) -> tf.Tensor:
            return network(x, training=False)

        rehearsal = rehearse(lambda: run(tf.zeros(one_row.shape, dtype)))
        self.bytes_a_draw = max(rehearsal.taken, 1) * dtype.size
        self.bytes_a_value = int(np.prod(rehearsal.result.shape[1:])) * dtype.size
        drawn = tuple(tf.TensorSpec(w.shape, w.dtype) for w in rehearsal.drawn)

        def draw(noise_seed: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor, ...]:
            def one(args: Any) -> tuple[tf.Tensor, ...]:
                with run_pass(ForwardPass(*args)) as forward:
                    run(tf.zeros(one_row.shape, dtype))  # XLA drops all but the draws
                return tuple(forward.drawn)

            noise = standard_normal([seeds.shape[0], rehearsal.taken], noise_seed, dtype)
            weights = tf.map_fn(one, (noise, seeds), fn_output_signature=drawn) if drawn else ()
            return (tf.range(seeds.shape[0]), *weights)  # a network without variational layers has no weights to draw

        def evaluate(x: tf.Tensor, weights: tuple[tf.Tensor, ...]) -> tf.Tensor:
            def one(draw: tuple[tf.Tensor, ...]) -> tf.Tensor:
                with run_pass(ForwardPass(None, draws=draw[1:])):
                    return tf.cast(run(x), dtype)

            return tf.map_fn(one, weights, fn_output_signature=dtype)

        self.draw = compiled(draw)
        self.evaluate = compiled(evaluate)


def _programs(network: keras.Model, row_shape: tuple[int, ...]) -> _Programs:
    """Compiled programs are kept with the network, for as long as it has the same layers and activations."""
    layers = (row_shape, *((id(layer), id(getattr(layer, "activation", None))) for layer in network._flatten_layers()))
    cached = network.__dict__.get("_varbump_programs")
    if cached is None or cached[0] != layers:
        cached = layers, _Programs(network, row_shape)
        object.__setattr__(network, "_varbump_programs", cached)  # past the attribute tracking of Keras
    return cached[1]
