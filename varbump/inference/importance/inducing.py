"""The global inducing point posterior: each layer's weights given those of the layers before, by linear regression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from varbump.core.random import standard_normal
from varbump.forward.passes import ForwardPass

__all__ = ["InducingPass", "InducingPosterior"]

NORMAL = (tfd.MultivariateNormalDiag, tfd.Normal)


class InducingPosterior:
    r"""Posterior q over the weights of all layers, which depend on each other through M inducing rows.

    .. math:: q(w) = \prod_l q(w_l | w_{1 \dots l-1}), \qquad
        q(W_l | \cdot) \propto p(W_l) \prod_m N(V_{lm}; \phi(U_{l-1,m}) W_l, \lambda_{lm}^{-1} I)

    The rows U_0 are inputs; U_l are the outputs of layer l for them, with the drawn weights. A layer's weights are
    those of Bayesian linear regression from U to the pseudo-outputs V, so they depend on the draws of the layers
    before, in a way that no normal over all weights can express. U_0, V and the precisions lambda are trained.

    Parameters
    ----------
    layers : sequence of DenseVariational
        Built, in the order in which they are called.
    inputs, outputs : ndarray (M, D), (M, K)
        Initial values of U_0 and of the V of the last layer.
    precision : float
        Initial lambda of the last layer, in 1 / squared units of y.
    seed : int
        Seed of the initial values of the other V.

    References
    ----------
    Ober and Aitchison (2021), "Global inducing point variational posteriors for Bayesian neural networks and deep
    Gaussian processes", eq. 13 to 16.
    """

    def __init__(
        self, layers: Sequence[Any], inputs: np.ndarray, outputs: np.ndarray, precision: float, seed: int
    ) -> None:
        generator, dtype = np.random.default_rng(seed), inputs.dtype
        self.layers, self.num_inducing = list(layers), len(inputs)
        starts = [generator.standard_normal((len(inputs), layer.units)) for layer in layers[:-1]]
        precisions = [1.0] * (len(layers) - 1) + [precision]
        self.inputs = tf.Variable(inputs, name="inducing_inputs")
        self._outputs = [
            tf.Variable(start.astype(dtype), name=f"{layer.name}/pseudo_outputs")
            for layer, start in zip(layers, [*starts, outputs], strict=True)
        ]
        self._log_precisions = [
            tf.Variable(np.full(len(inputs), np.log(value), dtype), name=f"{layer.name}/log_precisions")
            for layer, value in zip(layers, precisions, strict=True)
        ]

    @property
    def variables(self) -> list[tf.Variable]:
        """Trainable variables."""
        return [self.inputs, *self._outputs, *self._log_precisions]

    def draw(self, index: int, rows: tf.Tensor, noise: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        r"""Draw the weights (n,) of a layer given its inducing rows (M, d); also their log density and KL, in nats.

        Whitened by the prior, the covariance is that of ridge regression, the inverse of
        :math:`A = I + P^T \Lambda P`. In float64: precisions of small noise are beyond what float32 can factorise.
        """
        layer, f64 = self.layers[index], tf.float64
        prior = layer.prior(None)
        rows = tf.cast(rows, f64)
        if layer.use_bias:
            rows = tf.concat([rows, tf.ones_like(rows[:, :1])], 1)
        d = rows.shape[1]
        loc, sd = (tf.reshape(tf.cast(m, f64), [d, layer.units]) for m in (prior.mean(), prior.stddev()))
        scale = tf.sqrt(tf.reduce_mean(tf.square(sd), 1))  # (d,): one covariance serves all units
        features = rows * scale
        root = tf.exp(0.5 * tf.cast(self._log_precisions[index], f64))[:, None]
        a = tf.eye(d, dtype=f64) + tf.matmul(features * root, features * root, transpose_a=True)
        cholesky = tf.linalg.cholesky(a)
        residuals = tf.cast(self._outputs[index], f64) - tf.matmul(rows, loc)
        half = tf.linalg.triangular_solve(cholesky, tf.matmul(features * root, residuals * root, transpose_a=True))
        z = tf.reshape(tf.cast(noise, f64), [d, layer.units])
        both = tf.linalg.triangular_solve(cholesky, tf.concat([half, half + z], 1), adjoint=True)
        mean, v = both[:, : layer.units], both[:, layer.units :]
        w = tf.reshape(loc + scale[:, None] * v, [-1])
        half_log_det = tf.reduce_sum(tf.math.log(tf.linalg.diag_part(cholesky)))
        per_unit = half_log_det - tf.reduce_sum(tf.math.log(scale)) - 0.5 * d * np.log(2 * np.pi)
        log_q = layer.units * per_unit - 0.5 * tf.reduce_sum(tf.square(z))
        if isinstance(prior, NORMAL):
            inverse = tf.linalg.triangular_solve(cholesky, tf.eye(d, dtype=f64))
            variance = tf.reduce_sum(tf.square(inverse), 0)[:, None]
            relative = sd / scale[:, None]
            terms = (variance + tf.square(mean)) / tf.square(relative) - 1.0 + 2.0 * tf.math.log(relative)
            kl = 0.5 * tf.reduce_sum(terms) + layer.units * half_log_det
        else:
            kl = log_q - tf.cast(tf.reduce_sum(prior.log_prob(tf.cast(w, layer.dtype))), f64)
        return tf.cast(w, layer.dtype), log_q, kl

    def noise_of(self, seed: Any, count: int) -> tf.Tensor:
        """Draw noise for `count` draws of all weights, (count, P)."""
        return standard_normal([count, self.num_weights], seed, self.inputs.dtype)

    @property
    def num_weights(self) -> int:
        """Number of weights of all layers, P."""
        return sum(layer.units * (self._num_inputs(layer) + layer.use_bias) for layer in self.layers)

    @staticmethod
    def _num_inputs(layer: Any) -> int:
        return int(layer.input_spec.axes[-1])


class InducingPass(ForwardPass):
    """Forward pass whose first M rows are the inducing rows, from which layers derive their weights.

    Attributes
    ----------
    log_q : list of Tensor
        Log density of the draw of each layer, in nats.
    """

    def __init__(self, posterior: InducingPosterior, noise: tf.Tensor | None, seed: Any = (0, 0)) -> None:
        super().__init__(noise, seed)
        self._posterior = posterior
        self.log_q: list[tf.Tensor] = []

    def draw(self, make: Any, layer: Any = None, inputs: Any = None) -> tuple[tf.Tensor, Any]:
        """Draw the weights of the next layer, given the first M rows of its inputs."""
        posterior, index = self._posterior, len(self.drawn)
        size = layer.units * (inputs.shape[-1] + layer.use_bias)
        w, log_q, kl = posterior.draw(index, inputs[: posterior.num_inducing], self.take(size, inputs.dtype))
        self.note(layer, w)
        self.log_q.append(log_q)
        self.report_kl(layer, kl)
        return w, None
