"""The step that trains an inducing point posterior; for the loop, a step like any other."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from varbump.core.keras import keras
from varbump.forward.passes import run_pass
from varbump.inference.importance.inducing import InducingPass, InducingPosterior
from varbump.inference.vi.step import Step

__all__ = ["InducingStep"]


class InducingStep(Step):
    """The loss of a network whose weights are drawn from an `InducingPosterior`, and its gradient.

    Parameters
    ----------
    posterior : InducingPosterior
    network, likelihood, num_data, num_samples
        As of `Step`. Nothing of the network or the likelihood is trained.
    """

    def __init__(
        self, posterior: InducingPosterior, network: keras.Model, likelihood: Any, num_data: float, num_samples: int
    ) -> None:
        super().__init__(network, likelihood, num_data, num_samples)
        self._posterior = posterior
        self.variables = self.weights = posterior.variables

    def terms(
        self, x: Any, y: Any, weights: Any, noise: Any, seed: Any, training: bool, values: Any = None
    ) -> tuple[tf.Tensor, ...]:
        """Mean nll over the batch, KL in nats and no penalties, averaged over the draws of a step."""
        num_rows = self._posterior.num_inducing

        def one(own: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            with run_pass(InducingPass(self._posterior, own, seed)) as forward:
                f = self.network(tf.concat([self._posterior.inputs, x], 0), training=False)[num_rows:]
            return self.likelihood.nll(y, f), tf.cast(forward.kl, self.dtype)

        draws = tf.reshape(noise, [self._num_samples, -1])
        nll, kl = tf.vectorized_map(one, draws, fallback_to_while_loop=False)
        nll = tf.reduce_mean(nll, 0)
        mean = tf.reduce_mean(nll) if weights is None else tf.reduce_sum(tf.cast(weights, nll.dtype) * nll)
        return mean, tf.reduce_mean(kl), tf.zeros([], mean.dtype)

    def _averaged(self, x: Any, y: Any, weights: Any, noise: Any, seed: Any, values: Any) -> list[tf.Tensor]:
        return list(self.terms(x, y, weights, noise, seed, training=True))

    def count_noise(self, shape: list[int]) -> int:
        """Standard normal numbers that a step takes, whatever the shape of its batch."""
        del shape
        return self._num_samples * self._posterior.num_weights
