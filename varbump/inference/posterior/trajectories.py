"""One Markov chain by Hamiltonian Monte Carlo (HMC), advanced a number of draws at a time by one XLA program.

Chains run in parallel threads, each with a program of its own: as a batch in one program, a gradient of 4 chains took
0.8 times as long for 200 rows, and up to 1.75 times as long for 1,000 and 5,000, since XLA multiplies batches of small
matrices slowly.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from varbump.core.random import ALGORITHM, standard_normal
from varbump.forward.programs import compiled
from varbump.inference.mcmc.chain import STRETCH, ChainState
from varbump.inference.posterior.groups import LogLikelihood
from varbump.model.log_posterior import LogPosterior

__all__ = ["LENGTH", "MAX_LEAPFROGS", "Trajectories", "TrajectoryProgram"]

MAX_LEAPFROGS = 2048
"""Bound on the gradients of a draw."""

LENGTH = 4.0
"""Mean duration of a trajectory, in units of the scaled coordinates."""

TARGET_ACCEPT = 0.8
MAX_ENERGY_ERROR = 1000.0
"""A trajectory ends if the energy has changed by this much, in nats: it diverges."""


class Trajectories(NamedTuple):
    """Consecutive draws of a chain; only the first `num` rows of the arrays are valid."""

    z: Any  # (num, n)
    gradient: Any  # (num, n), gradient of the log density that guides, with respect to z
    accept: Any  # (num,)
    leapfrogs: Any
    divergent: Any


class TrajectoryProgram:
    r"""HMC on the log density prior + beta * likelihood, in coordinates z with w = scale * z.

    A trajectory takes as many leapfrog steps as its duration, uniform between 0 and twice `length`, has step sizes.
    The step size is adapted to the energy error of the integrator alone: where an approximation guides, smaller steps
    do not bring it closer to the likelihood.

    Parameters
    ----------
    target : LogPosterior
    guide : callable
        Log likelihood whose gradient guides the trajectories.
    exact : callable
        Log likelihood that decides whether they are accepted; the same object as `guide` if that is not approximate.
    """

    def __init__(self, target: LogPosterior, guide: LogLikelihood, exact: LogLikelihood) -> None:
        self._target, self._guide, self._exact = target, guide, exact
        self._run = compiled(self._trajectories)

    def run(
        self,
        state: ChainState,
        scale: np.ndarray,
        seed: np.ndarray,
        num: int,
        adapt: bool,
        *,
        beta: float = 1.0,
        length: float = LENGTH,
    ) -> tuple[ChainState, Trajectories]:
        """Make the next `num` draws, at most `STRETCH`; return the new state and the draws. num=0 only compiles."""
        number = scale.dtype.type
        after, arrays = self._run(
            state, scale, number(beta), number(length), seed, np.int32(num), np.bool_(adapt)
        )  # fmt: skip
        return ChainState(*(part.numpy() for part in after)), Trajectories(*(part.numpy()[:num] for part in arrays))

    def density(self, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log density that guides, a scalar, and its gradient, at w (n,), all parts in one."""
        with tf.GradientTape() as tape:
            z = tf.constant(w)
            tape.watch(z)
            parts = tf.split(z, self._target.sizes)
            value = self._guide(parts) + self._target.log_prior(parts)
        return value.numpy(), tape.gradient(value, z).numpy()

    def _trajectories(
        self, state: Any, scale: Any, beta: Any, length: Any, seed: Any, num: Any, adapt: Any
    ) -> tuple[Any, Any]:
        dtype, n = state.z.dtype, state.z.shape[0]

        def split(z: Any) -> list[Any]:
            return tf.split(scale * z, self._target.sizes)

        def guided(z: Any) -> tuple[Any, Any]:
            with tf.GradientTape() as tape:
                tape.watch(z)
                parts = split(z)
                value = beta * self._guide(parts) + self._target.log_prior(parts)
            return value, tape.gradient(value, z)

        def correction(z: Any) -> Any:
            """Difference of the exact log density to the one that guides."""
            if self._exact is self._guide:
                return tf.zeros([], dtype)
            parts = split(z)
            return beta * (self._exact(parts) - self._guide(parts))

        def one(i: Any, z: Any, value: Any, gradient: Any, extra: Any, state: Any, arrays: Any) -> Any:
            own = tf.random.experimental.stateless_fold_in(seed, i)
            momentum = standard_normal([n], own, dtype)
            other = tf.random.experimental.stateless_fold_in(own, 1)
            u = tf.random.stateless_uniform([2], other, dtype=dtype, alg=ALGORITHM)
            count = tf.math.ceil(2.0 * u[0] * length / state.step_size)
            count = tf.cast(tf.clip_by_value(count, 1.0, float(MAX_LEAPFROGS)), tf.int32)
            energy = value - 0.5 * tf.reduce_sum(momentum**2)

            def leapfrog(j: Any, z: Any, p: Any, value: Any, gradient: Any) -> Any:
                p += 0.5 * state.step_size * gradient
                z += state.step_size * p
                value, gradient = guided(z)
                return j + 1, z, p + 0.5 * state.step_size * gradient, value, gradient

            def goes_on(j: Any, z: Any, p: Any, value: Any, gradient: Any) -> Any:
                del z, gradient
                return (j < count) & (value - 0.5 * tf.reduce_sum(p**2) > energy - MAX_ENERGY_ERROR)

            start = (0, z, momentum, value, gradient)
            taken, new_z, p, new_value, new_gradient = tf.while_loop(goes_on, leapfrog, start)
            new_extra = correction(new_z)
            gain = new_value - 0.5 * tf.reduce_sum(p**2) - energy
            accept = _probability(gain + new_extra - extra)
            # whether a trajectory was cut short depends on the direction it is run in, so it is never accepted
            accept = tf.where(taken < count, tf.zeros_like(accept), accept)
            accepted = u[1] < accept
            z, value, gradient, extra = (
                tf.where(accepted, new, old)
                for new, old in ((new_z, z), (new_value, value), (new_gradient, gradient), (new_extra, extra))
            )
            state = _adapted(state, _probability(gain))
            divergent = ~(gain > -MAX_ENERGY_ERROR)
            values = Trajectories(z, gradient, accept, taken, divergent)
            arrays = [array.write(i, value) for array, value in zip(arrays, values, strict=True)]
            return i + 1, z, value, gradient, extra, state, arrays

        def _adapted(state: Any, accept: Any) -> Any:
            """Dual averaging: Hoffman and Gelman (2014), eq. 6."""
            count = state.count + 1
            t = tf.cast(count, dtype)
            error_sum = state.error_sum + TARGET_ACCEPT - accept
            step = state.shrinks_to - error_sum * tf.sqrt(t) / (0.05 * (t + 10.0))
            share = t**-0.75
            averaged = share * step + (1.0 - share) * state.averaged
            new = state._replace(step_size=tf.exp(step), averaged=averaged, error_sum=error_sum, count=count)
            return tf.nest.map_structure(lambda a, b: tf.where(adapt, a, b), new, state)

        value, gradient = guided(state.z)
        kinds: Any = ((dtype, [n]), (dtype, [n]), (dtype, []), (tf.int32, []), (tf.bool, []))
        arrays = [tf.TensorArray(kind, STRETCH, element_shape=shape) for kind, shape in kinds]
        start = (0, state.z, value, gradient, correction(state.z), state, arrays)
        _, z, _, _, _, state, arrays = tf.while_loop(lambda i, *_: i < num, one, start)
        return state._replace(z=z), [array.stack() for array in arrays]


def _probability(gain: Any) -> Any:
    """Acceptance probability of a change of the log density; 0 for nan."""
    return tf.where(gain == gain, tf.exp(tf.minimum(gain, 0.0)), tf.zeros_like(gain))  # noqa: PLR0124
