"""One step of many networks at once: the step of one, vectorised over what its variables are taken to be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from varbump.inference.vi.step import Step

__all__ = ["EnsembleStep", "rotated"]


def rotated(noise: tf.Tensor, count: int) -> tf.Tensor:
    """The same numbers (P,) for each of `count` members, each beginning elsewhere: (count, P).

    Drawing them is what a step of many small networks would spend most of its time on. For each member they are
    independent normals, and no weight has the same number in two members.
    """
    size = noise.shape[0]
    twice = tf.concat([noise, noise], 0)
    return tf.stack([twice[start : start + size] for start in (np.arange(count) * size) // count])


class EnsembleStep:
    """The step of each member, with noise of its own on the same batch; for the loop, a step like any other.

    Parameters
    ----------
    step : Step
        Of one network.
    starts : sequence of sequence of ndarray
        For each member, values for the variables of `step`.

    Attributes
    ----------
    variables : list of tf.Variable (K, ...)
        Those of the members, stacked: small tensors with a leading axis are what XLA makes fast.
    """

    def __init__(self, step: Step, starts: Sequence[Sequence[np.ndarray]]) -> None:
        self._step, self.num_members = step, len(starts)
        self.num_data, self.dtype, self.likelihood = step.num_data, step.dtype, step.likelihood
        self.variables = [
            tf.Variable(np.stack(values), name=variable.name.split(":")[0])
            for variable, *values in zip(step.variables, *starts, strict=True)
        ]
        self.weights = self.variables

    def terms(
        self, x: Any, y: Any, weights: Any, noise: Any, seed: Any, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """As those of one network, averaged over the members."""

        def one(args: Any) -> tuple[tf.Tensor, ...]:
            values, own_noise, member = args
            taken = {variable.ref(): value for variable, value in zip(self._step.variables, values, strict=True)}
            return self._step.terms(x, y, weights, own_noise, self._seed(seed, member), training, taken)

        nll, kl, penalty = (tf.reduce_mean(term) for term in self._map(one, noise))
        return nll, kl, penalty

    def gradient(
        self, x: Any, y: Any, weights: Any, noise: Any, seed: Any, kl_weight: Any
    ) -> tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]:
        """Gradient of each member's loss with respect to its variables; nll and KL averaged over the members."""

        def one(args: Any) -> tuple[Any, ...]:
            values, own_noise, member = args
            step_seed = self._seed(seed, member)
            gradients, nll, kl = self._step.gradient(x, y, weights, own_noise, step_seed, kl_weight, list(values))
            known = [tf.zeros_like(v) if g is None else g for g, v in zip(gradients, values, strict=True)]
            return known, nll, kl

        gradients, nll, kl = self._map(one, noise)
        return gradients, tf.reduce_mean(nll), tf.reduce_mean(kl)

    def count_noise(self, shape: list[int]) -> int:
        """Standard normal numbers that a step of all members takes."""
        return self._step.count_noise(shape)

    def _map(self, one: Any, noise: Any) -> Any:
        stacked = tuple(tf.convert_to_tensor(variable) for variable in self.variables)
        own_noise = rotated(noise, self.num_members)
        return tf.vectorized_map(one, (stacked, own_noise, tf.range(self.num_members)), fallback_to_while_loop=False)

    @staticmethod
    def _seed(seed: Any, member: Any) -> tf.Tensor:
        return seed + tf.stack([tf.zeros_like(member), member * 65_537])
