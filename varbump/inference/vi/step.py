"""One step of stochastic variational inference: a batch and noise in, the gradient of the loss out."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from varbump.core.keras import float_dtype, keras
from varbump.forward.elbo import negative_elbo
from varbump.forward.passes import ForwardPass, rehearse, run_pass

__all__ = ["Step"]


class Step:
    """The loss of a network and a likelihood, and its gradient.

    Parameters
    ----------
    network : tf_keras.Model
    likelihood : object with ``nll(y, f)``
        Weights of its own, where it has any, are trained too.
    num_data : float
        N of the ELBO.
    num_samples : int, default=1
        Draws of the weights a step, over which the gradient is averaged.
    """

    def __init__(self, network: keras.Model, likelihood: Any, num_data: float, num_samples: int = 1) -> None:
        self.network, self.likelihood, self.num_data = network, likelihood, num_data
        self._num_samples = num_samples
        self.weights = [*network.variables, *getattr(likelihood, "variables", [])]
        self.variables = [*network.trainable_variables, *getattr(likelihood, "trainable_variables", [])]
        self.dtype = tf.as_dtype(float_dtype(network))

    def terms(
        self, x: Any, y: Any, weights: Any, noise: Any, seed: Any, training: bool, values: Any = None
    ) -> tuple[tf.Tensor, ...]:
        """Mean nll over the batch, KL in nats, and the penalties of the layers, for one draw of the weights."""
        with run_pass(ForwardPass(noise, seed, values=values)) as forward:
            f = self.network(x, training=training)
            losses = self.network.losses
            nll = self.likelihood.nll(y, f)
        mean = tf.reduce_mean(nll) if weights is None else tf.reduce_sum(tf.cast(weights, nll.dtype) * nll)
        penalty = tf.add_n(losses) if losses else tf.zeros([], mean.dtype)
        return mean, tf.cast(forward.kl, mean.dtype), penalty

    def gradient(
        self, x: Any, y: Any, weights: Any, noise: Any, seed: Any, kl_weight: Any, at: Any = None
    ) -> tuple[list[tf.Tensor | None], tf.Tensor, tf.Tensor]:
        """Gradient of the loss with respect to `variables`, the nll with the penalties, and the KL.

        `at` are tensors to take for the variables, in their order.
        """
        with tf.GradientTape() as tape:
            values = None
            if at is not None:
                tape.watch(at)
                values = {variable.ref(): value for variable, value in zip(self.variables, at, strict=True)}
            nll, kl, penalty = self._averaged(x, y, weights, noise, seed, values)
            loss = negative_elbo(nll + penalty, kl, self.num_data, tf.cast(kl_weight, nll.dtype))
        return tape.gradient(loss, self.variables if at is None else at), nll + penalty, kl

    def _averaged(self, x: Any, y: Any, weights: Any, noise: Any, seed: Any, values: Any) -> list[tf.Tensor]:
        """The terms, averaged over the draws of a step."""
        size = noise.shape[0] // self._num_samples
        draws = [
            self.terms(x, y, weights, noise[s * size : (s + 1) * size], seed + tf.constant([0, s << 16]), True, values)
            for s in range(self._num_samples)
        ]
        return [
            tf.add_n(terms) / self._num_samples if len(terms) > 1 else terms[0] for terms in zip(*draws, strict=True)
        ]

    def count_noise(self, shape: list[int]) -> int:
        """Standard normal numbers that a step, or an evaluation, over a batch of this shape takes."""

        def count(training: bool) -> int:
            return rehearse(lambda: self.network(tf.zeros(shape, self.dtype), training=training)).taken

        return max(count(training=True), count(training=False)) * self._num_samples
