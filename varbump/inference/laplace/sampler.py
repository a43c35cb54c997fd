"""Draw functions from Laplace's approximation and evaluate them in pieces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from varbump.core.random import generator
from varbump.inference.laplace.response import Response
from varbump.inference.laplace.weights import Weights
from varbump.predict.sampler import NOISE_BYTES, Sampler

__all__ = ["LaplaceSampler"]

PURPOSE = 6
"""Number in the path of the seed."""


class LaplaceSampler(Sampler):
    r"""Sampler of functions with weights :math:`w_s = w^* + d_s`, from the network or from its linearisation.

    The linearisation :math:`f(x; w^*) + J(x) d_s` takes the Jacobian of each row once, for all draws.

    Parameters
    ----------
    response : Response
    weights : Weights
        With their present values w*.
    deviations : callable
        From standard normal numbers (S, P) to d (S, P).
    linearised : bool
    num_draws, seed, chunk_size
        As in `Sampler`.
    """

    _programs: Any
    _values: Any

    def __init__(
        self,
        response: Response,
        weights: Weights,
        deviations: Callable[[np.ndarray], np.ndarray],
        linearised: bool,
        num_draws: int,
        seed: int,
        chunk_size: int | None,
    ) -> None:
        self._programs = self._response = response
        self._values = response.state
        self._of, self._loc = weights, weights.loc
        self._deviations, self._linearised = deviations, linearised
        self._num_draws, self._seed, self._chunk_size = num_draws, seed, chunk_size
        self._drawn = None

    def weights(self) -> tuple[np.ndarray, ...]:
        """Draws (S, n) of each variational layer, or of each random variable of a plain network, in their order."""
        stride = max(NOISE_BYTES // self._response.bytes_a_draw, 1)
        starts = range(0, self._num_draws, stride)
        drawn = [self._drawn_deviations(slice(start, min(start + stride, self._num_draws))) for start in starts]
        return self._of.parts(self._loc + np.concatenate(drawn))

    def _drawn_deviations(self, which: slice) -> np.ndarray:
        noise = generator(self._seed, PURPOSE, which.start).standard_normal((which.stop - which.start, len(self._loc)))
        return self._deviations(noise)

    def _weights(self, which: slice) -> tuple[tf.Tensor, ...]:
        drawn = self._drawn
        if drawn is not None and drawn[0] == which:  # the next rows of the same draws
            return drawn[1]
        d = self._drawn_deviations(which)
        weights = (tf.constant(d if self._linearised else self._loc + d, self._response.dtype),)
        self._drawn = which, weights
        return weights

    def _evaluated(self, piece: np.ndarray, weights: Any, count: int, num_rows: int) -> np.ndarray:
        if not self._linearised:
            return super()._evaluated(piece, weights, count, num_rows)
        (d,) = (part.numpy() for part in weights)
        parts = []
        size = self._response.block_size(len(piece))
        for start in range(0, num_rows, size):
            rows = piece[start : start + size]
            if len(rows) < size:  # one shape, one compilation
                rows = np.concatenate([rows, np.repeat(piece[:1], size - len(rows), axis=0)])
            f, jacobian = self._response(rows)
            parts.append(f + (d @ jacobian.reshape(-1, d.shape[-1]).T).reshape(count, *f.shape))
        return np.concatenate(parts, axis=1)[:, :num_rows]
