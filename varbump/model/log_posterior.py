"""What is sampled: the log density of all weights given the data, up to a constant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from varbump.core.keras import float_dtype, keras, trainable_variables_of
from varbump.forward.apply import apply, called_layers, rehearse

__all__ = ["LogPosterior"]


class LogPosterior:
    r"""Log density of the weights of all variational layers, in nats and up to a constant.

    .. math:: \log p(w | x, y) = \sum_n \log p(y_n | f(x_n; w)) + \sum_l \log p(w_l) + \mathrm{const}

    Parameters
    ----------
    network : tf_keras.Model
        Built.
    likelihood : likelihood
        Its own variables, like all others that are no weights of a variational layer, keep the values that they have.
    x, y : ndarray (N, D), (N, Q)

    Attributes
    ----------
    layers : list of layer
        The variational layers, in the order in which they are called.
    num_weights : tuple of int
        n of each of them.
    sizes : tuple of int
        Sizes of the parts that all sampled numbers are divided into: here those of the weights of each layer.
    num_held : int
        Learned numbers that keep their values and would move in training, other than those of q.

    Raises
    ------
    ValueError
        If there is no variational layer, one is called more than once, or a prior has no density.
    """

    def __init__(self, network: keras.Model, likelihood: Any, x: np.ndarray, y: np.ndarray) -> None:
        self.network, self.likelihood = network, likelihood
        self.dtype = tf.as_dtype(float_dtype(network))
        self.x, self.y = tf.constant(x, self.dtype), tf.constant(y, self.dtype)
        shape = (1, *self.x.shape[1:])
        self.layers = called_layers(network, shape)
        self._check_layers()
        shapes = [w.shape for w in rehearse(network, shape).drawn]
        self._check_priors(shapes)
        self.num_weights = tuple(int(np.prod(shape)) for shape in shapes)
        own = {v.ref() for layer in self.layers for v in trainable_variables_of(layer.posterior)}
        trainable = [*trainable_variables_of(network), *getattr(likelihood, "trainable_variables", [])]
        following = [layer.prior for layer in self.layers if getattr(layer.prior, "follows_posterior", False)]
        self.num_held = int(sum(np.prod(v.shape) for v in trainable if v.ref() not in own))
        self.num_held += sum(int(prior.groups.count) for prior in following)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sizes of the parts."""
        return self.num_weights

    def log_prob(self, parts: Sequence[tf.Tensor]) -> tf.Tensor:
        """The log density, a scalar, at the weights (n,) of each layer, or other parts of a subclass."""
        return self.log_likelihood(parts) + self.log_prior(parts)

    def log_likelihood(self, parts: Sequence[tf.Tensor]) -> tf.Tensor:
        """The part of the data, a scalar in nats."""
        return -tf.reduce_sum(self.nll(parts, self.y, self.f(parts, self.x)))

    def f(self, parts: Sequence[tf.Tensor], x: tf.Tensor) -> tf.Tensor:
        """The function at rows x (N, D), (N, K)."""
        return apply(self.network, x, draws=self.weights(parts)).f

    def nll(self, parts: Sequence[tf.Tensor], y: tf.Tensor, f: tf.Tensor) -> tf.Tensor:
        """Negative log-likelihood of each row, (N,), in nats."""
        return tf.cast(self.likelihood_at(parts).nll(y, f), self.dtype)

    def weights(self, parts: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
        """Weights (n,) of each layer."""
        return parts

    def likelihood_at(self, parts: Sequence[tf.Tensor]) -> Any:
        """The likelihood."""
        del parts
        return self.likelihood

    def log_prior(self, parts: Sequence[tf.Tensor]) -> tf.Tensor:
        """The part of the prior, a scalar in nats."""
        terms = [layer.prior(None).log_prob(w) for layer, w in zip(self.layers, parts, strict=True)]
        return tf.add_n([tf.cast(tf.reduce_sum(term), self.dtype) for term in terms])  # it may be a batch of scalars

    def started(self, weights: Sequence[np.ndarray], generator: np.random.Generator) -> list[np.ndarray]:
        """Parts (S, n) where chains may start, from draws of the weights of each layer from the prior."""
        del generator
        return list(weights)

    def drawn(self, parts: Sequence[np.ndarray]) -> dict[str, Any]:
        """What is kept of parts (..., n) that were sampled: fields of `ChainDraws`."""
        return {"weights": tuple(parts)}

    def _check_layers(self) -> None:
        if not self.layers:
            raise ValueError(
                "network has no variational layers, so there is nothing to sample; build it of "
                "varbump.layers.DenseVariational, as varbump.build_network does"
            )
        names = [layer.name for layer in self.layers if self.layers.count(layer) > 1]
        if names:
            raise ValueError(f"Layer {names[0]!r} is called more than once in a pass, which samplers do not do")

    def _check_priors(self, shapes: list[tf.TensorShape]) -> None:
        for layer, shape in zip(self.layers, shapes, strict=True):
            try:
                layer.prior(None).log_prob(tf.zeros(shape, self.dtype))
            except (NotImplementedError, AttributeError, TypeError) as error:
                raise ValueError(
                    f"The prior of layer {layer.name!r} has no log_prob that can be evaluated without inputs "
                    f"({type(error).__name__}: {error}); sampling the posterior needs its density"
                ) from error
