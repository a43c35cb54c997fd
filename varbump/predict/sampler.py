"""Draw functions from q and evaluate them in pieces, by compiled programs shared by networks of one structure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import tensorflow as tf

from varbump.core.keras import float_dtype, keras, variables_of
from varbump.core.random import standard_normal, stateless_seeds
from varbump.core.threads import each_in_threads, num_free_threads
from varbump.forward.apply import apply, rehearse
from varbump.forward.programs import program
from varbump.forward.stateless import key, make_stateless
from varbump.forward.structure import network_structure

__all__ = [
    "DrawSource",
    "Leaf",
    "Sampler",
    "StoredSampler",
    "all_draws",
    "rehearsed_function",
    "sampler_of",
]

MAX_BYTES = 64 * 2**20
"""Bound on the result of one compiled call."""

PART_BYTES = 2**19
"""Results larger than this are computed by several threads."""

NOISE_BYTES = 64 * 2**20
"""Bound on the noise in memory at a time. It is part of the definition of draw s, so it is not an option."""


@runtime_checkable
class DrawSource(Protocol):
    """Source of draws of functions other than the q of a network, such as weights that were sampled before.

    Prediction accepts any object with these two members, whatever its class. One whose draws are of the prior has an
    attribute `of_prior` that is True, for the labels of what is made of them.
    """

    @property
    def network(self) -> keras.Model:
        """Network that determines the shape and type of inputs."""

    def sampler(self, row_shape: tuple[int, ...], num_draws: int, seed: int, chunk_size: int | None) -> Sampler:
        """Return the sampler that draws f for rows of this shape; arguments are as in `Sampler`."""


def sampler_of(
    source: keras.Model | DrawSource, row_shape: tuple[int, ...], num_draws: int, seed: int, chunk_size: int | None
) -> Sampler:
    """Make the sampler of a network, which draws from its q, or of any other source of draws."""
    if isinstance(source, keras.Model):
        return Sampler(source, row_shape, num_draws, seed, chunk_size)
    return source.sampler(row_shape, num_draws, seed, chunk_size)


class Leaf(NamedTuple):
    """Draws of one network with one set of values, of which other samplers consist.

    Attributes
    ----------
    sampler : Sampler
    likelihood : likelihood
    inputs : ndarray (D,) or None
        Factors of the columns of x.
    pool_noise : (float, float) or None
        Of a pool, the factor of the sd of the noise, and its inverse degrees of freedom.
    """

    sampler: Sampler
    likelihood: Any
    inputs: np.ndarray | None = None
    pool_noise: tuple[float, float] | None = None


class Sampler:
    """Sampler of functions f(x; w_s), s = 0 ... S - 1, for one seed.

    The weights of draw s depend on the seed and on s, never on the rows: a draw is one function, however the rows are
    divided. Weights are drawn first, in a separate program, so that many pieces of rows share the work.

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
        Rows per compiled call.
    values : sequence of Tensor, optional
        Values of the variables of the network, in their order; by default their current values.
    """

    def __init__(
        self,
        network: keras.Model,
        row_shape: tuple[int, ...],
        num_draws: int,
        seed: int,
        chunk_size: int | None,
        values: Sequence[Any] | None = None,
    ) -> None:
        self._values = [tf.convert_to_tensor(v) for v in (variables_of(network) if values is None else values)]
        self._network, self._programs = network, _Programs(network, row_shape)
        self._num_draws, self._seed, self._chunk_size = num_draws, seed, chunk_size
        self._drawn: tuple[slice, tuple[tf.Tensor, ...]] | None = None

    @property
    def network(self) -> keras.Model:
        """The network that is evaluated."""
        return self._network

    def draws(self, x: np.ndarray) -> Iterator[tuple[slice, slice, np.ndarray]]:
        """Yield pieces of the result for x (N, D): slices of draws and rows, and values (S', N', Q)."""
        stride = max(NOISE_BYTES // self._programs.bytes_a_draw, 1)
        for start in range(0, self._num_draws, stride):
            which = slice(start, min(start + stride, self._num_draws))
            weights = self._weights(which)
            for rows, values in self._rows(x, weights, which.stop - which.start):
                yield which, rows, values

    def chunks(self, x: np.ndarray, multiple: int = 1) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield pieces with all draws of some rows, in whole multiples but for the last: slice, values (S, N', Q)."""
        size = -(-(self._chunk_size or self._default_chunk(self._num_draws)) // multiple) * multiple
        for start in range(0, len(x), size):
            rows = slice(start, min(start + size, len(x)))
            yield rows, all_draws(self, self._num_draws, x[rows])

    def weights(self) -> tuple[np.ndarray, ...]:
        """Weights (S, n) of each variational layer, in the order in which they are called."""
        stride = max(NOISE_BYTES // self._programs.bytes_a_draw, 1)
        starts = range(0, self._num_draws, stride)
        parts = [self._weights(slice(start, min(start + stride, self._num_draws)))[1:] for start in starts]
        return tuple(np.concatenate(layer) for layer in zip(*parts, strict=True))

    def leaves(self, likelihoods: Sequence[Any]) -> list[Leaf]:
        """The samplers of single networks that this one consists of, with their likelihoods.

        Raises
        ------
        TypeError
            If draws are something else than the network at drawn weights.
        """
        if type(self).draws is not Sampler.draws or type(self)._evaluated is not Sampler._evaluated:
            raise TypeError("model has draws that are no weights of its network, such as linearised ones")
        return [Leaf(self, likelihoods[0])]

    def in_graph(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """Return the function of rows x (N, D) that gives all draws (S, N, K), for use inside of a tf.function.

        Weights and values are constants in it.
        """
        function, values = self._programs.function, self._values
        weights = self._weights(slice(0, self._num_draws))
        return lambda x: function(x, weights, values)

    def _weights(self, which: slice) -> tuple[tf.Tensor, ...]:
        drawn = self._drawn
        if drawn is not None and drawn[0] == which:  # the next rows of the same draws
            return drawn[1]
        seeds = stateless_seeds(self._seed, which.start, count=1 + which.stop - which.start)
        weights = self._programs.draw(seeds[0], seeds[1:], self._values)
        self._drawn = which, weights
        return weights

    def _rows(self, x: np.ndarray, weights: Any, count: int) -> Iterator[tuple[slice, np.ndarray]]:
        size = min(self._chunk_size or self._default_chunk(count), _rounded_up(len(x)))
        for start in range(0, len(x), size):
            piece = x[start : start + size]
            if len(piece) < size:  # one shape, one compilation
                piece = np.pad(piece, [(0, size - len(piece))] + [(0, 0)] * (x.ndim - 1))
            rows = slice(start, min(start + size, len(x)))
            yield rows, self._evaluated(piece, weights, count, rows.stop - start)

    def _evaluated(self, piece: np.ndarray, weights: Any, count: int, num_rows: int) -> np.ndarray:
        """Values (count, num_rows, Q) at the first rows of a piece, the draws shared out among the cores."""
        output = self._programs.output
        values = np.empty((count, num_rows, *output.shape[1:]), output.dtype.as_numpy_dtype)
        num_parts = min(num_free_threads(), max(values.nbytes // PART_BYTES, 1), count)
        bounds = [count * part // num_parts for part in range(num_parts + 1)]
        rows = tf.constant(piece)

        def evaluate(part: int) -> None:
            own = slice(bounds[part], bounds[part + 1])
            result = self._programs.evaluate(rows, tuple(w[own] for w in weights), self._values)
            values[own] = np.asarray(memoryview(result))[:, :num_rows]  # without a copy in between

        if num_parts == 1:
            evaluate(0)
        else:
            each_in_threads(evaluate, range(num_parts))
        return values

    def _default_chunk(self, count: int) -> int:
        return max(MAX_BYTES // (count * self._programs.bytes_a_value), 1)


def all_draws(sampler: Any, num_draws: int, x: np.ndarray) -> np.ndarray:
    """All draws at all rows of x (N, D), (S, N, Q); of a sampler, only the method `draws` is used."""
    result = np.empty(0)
    for which, rows, values in sampler.draws(x):
        if values.shape[:2] == (num_draws, len(x)):
            return values
        if not result.size:
            result = np.empty((num_draws, len(x), *values.shape[2:]), values.dtype)
        result[which, rows] = values
    return result


class StoredSampler(Sampler):
    """Sampler that evaluates f(x; w_s) for stored weights.

    Parameters
    ----------
    network : tf_keras.Model
        Built.
    row_shape : tuple of int
        Shape of a row of x.
    weights : sequence of ndarray (S, n)
        Weights of each variational layer, in the order in which they are called.
    chunk_size : int or None
        Rows per compiled call.
    """

    def __init__(
        self, network: keras.Model, row_shape: tuple[int, ...], weights: Sequence[np.ndarray], chunk_size: int | None
    ) -> None:
        super().__init__(network, row_shape, len(weights[0]), 0, chunk_size)
        self._stored = weights

    def _weights(self, which: slice) -> tuple[tf.Tensor, ...]:
        return (tf.range(which.stop - which.start), *(tf.constant(w[which]) for w in self._stored))


def _rounded_up(size: int) -> int:
    """Round up to a multiple of about a sixteenth of the size: few shapes to compile, little padding."""
    step = 2 ** max(size.bit_length() - 5, 0)
    return -(-size // step) * step


def rehearsed_function(network: keras.Model, row_shape: Sequence[int], structure: Hashable) -> Any:
    """Rehearse the pass of one row; a ValueError says why a network is no function of its weights.

    Parameters
    ----------
    structure : hashable
        From `network_structure`.
    """
    rehearsal = rehearse(network, (1, *row_shape), structure=structure)
    if rehearsal.unseeded:
        raise ValueError(
            f"network draws random numbers that no seed reaches, anew in each call, so it is no function: "
            f"{', '.join(rehearsal.unseeded[:3])}; take the mean there, or leave the layer out"
        )
    return rehearsal


class _Programs:
    """Two compiled programs of a network: from noise to weights, and from weights and rows to values."""

    def __init__(self, network: keras.Model, row_shape: tuple[int, ...]) -> None:
        dtype = tf.as_dtype(float_dtype(network))
        structure = network_structure(network)
        rehearsal = rehearsed_function(network, row_shape, structure)
        self.bytes_a_draw = max(rehearsal.num_noise, 1) * dtype.size
        self.output = rehearsal.output
        self.bytes_a_value = int(np.prod(rehearsal.output.shape[1:])) * dtype.size

        def run(values: Any, x: Any, **drawing: Any) -> Any:
            make_stateless(variables_of(network), network)
            given = {key(v): value for v, value in zip(variables_of(network), values, strict=True)}
            return apply(network, x, values=given, **drawing)

        def draw(noise_seed: tf.Tensor, seeds: tf.Tensor, values: Any) -> tuple[tf.Tensor, ...]:
            def one(args: Any) -> tuple[tf.Tensor, ...]:
                noise, seed = args
                x = tf.zeros([1, *row_shape], dtype)  # XLA computes only the draws
                return tuple(run(values, x, noise=noise, seed=seed).drawn)

            noise = standard_normal([seeds.shape[0], rehearsal.num_noise], noise_seed, dtype)
            drawn = rehearsal.drawn  # a network without variational layers has no weights to draw
            weights = tf.map_fn(one, (noise, seeds), fn_output_signature=drawn) if drawn else ()
            return (tf.range(seeds.shape[0]), *weights)

        def evaluate(x: tf.Tensor, weights: tuple[tf.Tensor, ...], values: Any) -> tf.Tensor:
            def one(draw: tuple[tf.Tensor, ...]) -> tf.Tensor:
                return tf.cast(run(values, x, draws=draw[1:]).f, dtype)

            return tf.map_fn(one, weights, fn_output_signature=dtype)

        self.function = evaluate
        self.draw = program("draw weights", (structure, row_shape), lambda: draw, network)
        self.evaluate = program("evaluate draws", (structure, row_shape), lambda: evaluate, network)
