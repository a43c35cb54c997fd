"""Compiled programs of f as a function of the random weights: its values, and its response to each weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from varbump.core.keras import float_dtype, keras, variables_of
from varbump.forward.apply import apply
from varbump.forward.jacobian import outputs_and_jacobian
from varbump.forward.programs import program
from varbump.forward.stateless import key, make_stateless
from varbump.forward.structure import network_structure
from varbump.inference.laplace.weights import Weights
from varbump.predict.sampler import rehearsed_function

__all__ = ["Response"]

BLOCK_BYTES = 64 * 2**20
"""Bound on a block of Jacobians."""


class Response:
    """f(x; w) for rows of one shape.

    Parameters
    ----------
    weights : Weights
    row_shape : tuple of int

    Attributes
    ----------
    dtype : DType
    output : TensorSpec
        Of f at one row.
    bytes_a_value, bytes_a_draw : int
        Bytes of f at one row, and of a draw of the weights.
    evaluate : callable
        The program that takes rows (B, ...), a tuple of draws (S, P), and the state, and returns f (S, B, Q).
    state : tuple
        Everything else that f depends on.

    Raises
    ------
    ValueError
        If the network draws random numbers that no seed reaches.
    """

    def __init__(self, weights: Weights, row_shape: Sequence[int]) -> None:
        network, row_shape = weights.network, tuple(row_shape)
        self.dtype = dtype = tf.as_dtype(float_dtype(network))  # what programs refer to lives as long as they
        structure = network_structure(network)
        rehearsal = rehearsed_function(network, row_shape, structure)
        loc = weights.loc
        self.output = rehearsal.output
        self.bytes_a_value = int(np.prod(rehearsal.output.shape[1:])) * self.dtype.size
        self.bytes_a_draw = len(loc) * self.dtype.size
        self.state = tuple(map(tf.constant, weights.values)), tuple(map(tf.constant, weights.draws))
        self._loc = tf.constant(loc, self.dtype)
        chosen, key_ = weights.chosen, (structure, row_shape, weights.chosen)

        def f(x: tf.Tensor, w: tf.Tensor, state: Any) -> tf.Tensor:
            return tf.cast(_outputs(network, chosen, x, w, *state), dtype)

        def evaluate(x: tf.Tensor, draws: tuple[tf.Tensor, ...], state: Any) -> tf.Tensor:
            return tf.map_fn(lambda w: f(x, w, state), draws[0])

        def respond(x: tf.Tensor, w: tf.Tensor, state: Any) -> tuple[tf.Tensor, tf.Tensor]:
            return outputs_and_jacobian(lambda x, w: f(x, w, state), x, w, network)

        self.evaluate = program("evaluate weights", key_, lambda: evaluate, network)
        self._respond = program("response to weights", key_, lambda: respond, network)

    def block_size(self, num_rows: int) -> int:
        """Rows whose Jacobians are computed at a time, of `num_rows`."""
        bytes_a_row = self.bytes_a_value * len(self._loc)
        return min(max(BLOCK_BYTES // bytes_a_row, 1), num_rows)

    def __call__(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values f (B, Q) at the present weights, and Jacobians J (B, Q, P), for rows x (B, ...)."""
        f, jacobian = self._respond(tf.constant(x, self.dtype), self._loc, self.state)
        return f.numpy(), jacobian.numpy()


def _outputs(network: keras.Model, chosen: tuple[int, ...], x: Any, w: Any, values: Any, draws: Any) -> tf.Tensor:
    """Outputs of a network whose `chosen` parts are w (P,), and whose other parts are given."""
    make_stateless(variables_of(network), network)
    parts = list(draws or values)
    sizes = [parts[index].shape.num_elements() for index in chosen]
    for index, part in zip(chosen, tf.split(w, sizes), strict=True):
        parts[index] = tf.cast(tf.reshape(part, parts[index].shape), parts[index].dtype)
    given = {key(v): value for v, value in zip(variables_of(network), values if draws else parts, strict=True)}
    return apply(network, x, values=given, draws=parts if draws else ()).f
