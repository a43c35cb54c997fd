"""One Markov chain, advanced a number of draws at a time by one XLA program.

The program advances ONE chain, and chains run in parallel threads. If chains ran in lockstep, as a batch in one
program, all would take as many leapfrog steps as the longest trajectory among them, and XLA multiplies batches of
small matrices slowly: with four chains over 321 weights a leapfrog step took 75 microseconds, with one chain 18.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow_probability import mcmc

from varbump.forward.programs import compiled
from varbump.inference.mcmc.coordinates import Coordinates
from varbump.model.log_posterior import LogPosterior

__all__ = ["ChainProgram", "ChainState", "Stretch"]

STRETCH = 25
"""Draws per call: how often the progress bar moves, and the length of an adaptation window."""


class ChainState(NamedTuple):
    """Position of a chain and state of its step size (dual averaging: Hoffman and Gelman 2014, eq. 6)."""

    z: np.ndarray  # (n,)
    step_size: Any
    averaged: Any  # log of the averaged step size
    error_sum: Any
    shrinks_to: Any  # log of the step size that the exploration is drawn to
    count: Any

    @classmethod
    def start(cls, z: np.ndarray, step_size: float, boldness: float = 10.0) -> ChainState:
        """State at z whose adaptation of the step size starts afresh, and explores steps `boldness` times as large."""
        number = z.dtype.type
        return cls(z, number(step_size), number(0), number(0), number(np.log(boldness * step_size)), np.int32(0))


class Stretch(NamedTuple):
    """Consecutive draws of a chain; only the first `num` rows of the arrays are valid."""

    z: np.ndarray  # (num, n)
    gradient: np.ndarray  # (num, n), gradient of the log density with respect to z
    accept: np.ndarray  # (num,)
    leapfrogs: np.ndarray
    divergent: np.ndarray
    saturated: np.ndarray


class ChainProgram:
    r"""NUTS on the target, in coordinates z with :math:`u = \mathrm{scale} * z` and u those of `Coordinates`.

    Parameters
    ----------
    target : LogPosterior
    coordinates : Coordinates
    max_tree_depth : int
        A draw takes at most 2^max_tree_depth - 1 leapfrog steps.
    target_accept : float
        Target of the mean acceptance probability.
    """

    def __init__(
        self, target: LogPosterior, coordinates: Coordinates, max_tree_depth: int, target_accept: float
    ) -> None:
        self._target, self._coordinates = target, coordinates
        self._max_tree_depth, self._target_accept = max_tree_depth, target_accept
        self._factors = [tf.constant(factor) for factor in coordinates.factors]
        self._run = compiled(self._stretch)

    def log_prob(self, z: tf.Tensor, scale: tf.Tensor, factors: Any) -> tf.Tensor:
        """Log density of the target, a scalar, at z (n,)."""
        return self._target.log_prob(self._coordinates.weights(scale * z, factors))

    def run(
        self, state: ChainState, scale: np.ndarray, seed: np.ndarray, num: int, adapting: bool
    ) -> tuple[ChainState, Stretch]:
        """Make the next `num` draws, at most `STRETCH`; return the new state and the draws. num=0 only compiles."""
        after, arrays = self._run(state, scale, self._factors, seed, np.int32(num), np.bool_(adapting))
        return ChainState(*(part.numpy() for part in after)), Stretch(*(part.numpy()[:num] for part in arrays))

    def _stretch(self, state: Any, scale: Any, factors: Any, seed: Any, num: Any, adapting: Any) -> Any:
        kernel = mcmc.DualAveragingStepSizeAdaptation(
            mcmc.NoUTurnSampler(
                lambda z: self.log_prob(z, scale, factors), state.step_size, max_tree_depth=self._max_tree_depth
            ),
            num_adaptation_steps=0,
            target_accept_prob=self._target_accept,
        )
        results = kernel.bootstrap_results(state.z)._replace(
            num_adaptation_steps=tf.where(adapting, 2**30, -1),
            error_sum=[state.error_sum],
            log_averaging_step=[state.averaged],
            log_shrinkage_target=[state.shrinks_to],
            step=state.count,
        )
        recorded = [state.z, state.z, state.step_size, state.count, tf.constant(False), tf.constant(False)]
        arrays = [tf.TensorArray(value.dtype, STRETCH, element_shape=value.shape) for value in recorded]

        def one(i: Any, z: Any, results: Any, arrays: Any) -> Any:
            z, results = kernel.one_step(z, results, seed=tf.random.experimental.stateless_fold_in(seed, i))
            nuts = results.inner_results
            values = Stretch(
                z,
                nuts.grads_target_log_prob[0],
                tf.exp(tf.minimum(nuts.log_accept_ratio, 0.0)),
                nuts.leapfrogs_taken,
                nuts.has_divergence,
                nuts.reach_max_depth,
            )
            return i + 1, z, results, [array.write(i, value) for array, value in zip(arrays, values, strict=True)]

        _, z, results, arrays = tf.while_loop(lambda i, *_: i < num, one, (0, state.z, results, arrays))
        after = ChainState(
            z,
            results.new_step_size,
            results.log_averaging_step[0],
            results.error_sum[0],
            results.log_shrinkage_target[0],
            results.step,
        )
        return after, [array.stack() for array in arrays]
