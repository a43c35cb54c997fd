"""The loss of stochastic variational inference, as a function of the values of all variables."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from varbump.core.keras import float_dtype, full_name, keras, trainable_variables_of, variables_of
from varbump.forward.apply import apply, rehearse
from varbump.forward.elbo import negative_elbo
from varbump.forward.stateless import all_variables, at, key
from varbump.forward.structure import likelihood_structure, network_structure
from varbump.layers.variational import layers_with_estimated_kl

__all__ = ["Batch", "NetworkLoss", "Terms"]


class Batch(NamedTuple):
    """Batch of a training step.

    Attributes
    ----------
    x, y : Tensor (B, D), (B, Q)
    row_weights : Tensor (B,) or (B, K) or None
        Weights of the rows, which sum to about 1; None if all rows count equally. A column for each of K members is
        taken apart by `varbump.inference.vi.members.Members`.
    """

    x: tf.Tensor
    y: tf.Tensor
    row_weights: tf.Tensor | None

    def mean(self, values: tf.Tensor) -> tf.Tensor:
        """Weighted mean of `values`, one per row."""
        if self.row_weights is None:
            return tf.reduce_mean(values)
        return tf.reduce_sum(tf.cast(self.row_weights, values.dtype) * values)


class Terms(NamedTuple):
    """Terms of the loss for one draw of the weights.

    Attributes
    ----------
    nll : Tensor ()
        Mean over the batch, nats per observation.
    kl : Tensor ()
        Nats.
    penalty : Tensor ()
        Losses that other layers add, such as regularizers.
    moving : list of Tensor
        Values, after the pass, of the variables that it moves.
    """

    nll: tf.Tensor
    kl: tf.Tensor
    penalty: tf.Tensor
    moving: list[tf.Tensor]


def check_trained(network: keras.Model, likelihood: Any) -> None:
    """Raise a ValueError if neither the network nor the likelihood has a weight to train."""
    if not trainable_variables_of(network) and not getattr(likelihood, "trainable_variables", []):
        frozen = variables_of(network) and "all its weights are frozen: set layer.trainable = True"
        raise ValueError(f"network has nothing to train: {frozen or 'it has no weights'}")


def check_known(watched: Sequence[tf.Variable], values: dict[Any, Any]) -> None:
    """Raise a ValueError that names trainable variables that a pass reads, but that training would not change."""
    hidden = [repr(full_name(v)) for v in watched if key(v) not in values]
    if hidden:
        raise ValueError(
            f"the loss depends on trainable variables that neither a layer nor the likelihood lists, and fit would "
            f"not train: {', '.join(hidden)}; make each an attribute of its layer, or create it with trainable=False"
        )


class NetworkLoss:
    """Loss of a network and a likelihood, as a function of the values of their variables.

    Parameters
    ----------
    network : tf_keras.Model
        Built.
    likelihood : likelihood
        Its own weights, if any, are trained too.
    row_shape : sequence of int
        Shape of a row of x.
    num_samples : int, default=1
        Draws of the weights per step, over which the gradient is averaged.

    Attributes
    ----------
    trainable, moving, fixed : list of tf.Variable
        All variables: those that are trained by their gradients, those that a training pass updates, such as the
        averages of batch normalisation, and all others.
    of_likelihood : list of tf.Variable
        Those of `trainable` that the likelihood owns.
    estimated_kl : tuple of str
        Names of the layers whose KL is a Monte Carlo estimate.
    structure : hashable
        Equal for losses that compute the same function of these values.
    """

    explains = True
    """Whether a step that is not finite can be replayed operation by operation."""

    def __init__(self, network: keras.Model, likelihood: Any, row_shape: Sequence[int], num_samples: int = 1) -> None:
        self.network, self.likelihood, self.num_samples = network, likelihood, num_samples
        self.dtype = tf.as_dtype(float_dtype(network))
        variables = all_variables(network, likelihood)
        check_trained(network, likelihood)
        self.of_likelihood = list(getattr(likelihood, "trainable_variables", []))
        self.trainable = [*trainable_variables_of(network), *self.of_likelihood]
        self._of_network = network_structure(network, lasting=False)
        moved = rehearse(network, (2, *row_shape), training=True, structure=self._of_network).moved
        of_network = variables_of(network)
        self.moving = [of_network[index] for index in moved]
        known = {key(v) for v in [*self.trainable, *self.moving]}
        self.fixed = [v for v in variables if key(v) not in known]
        self.estimated_kl = layers_with_estimated_kl(network)
        sizes = len(self.trainable), tuple(moved), len(self.fixed)
        self.structure: Hashable = (self._of_network, likelihood_structure(likelihood), num_samples, sizes)

    def terms(
        self, values: dict[Any, tf.Tensor], batch: Batch, noise: Any, seed: Any, *, training: bool = True
    ) -> Terms:
        """Compute the terms for one draw of the weights; `values` are those of all variables, by key."""
        applied = apply(self.network, batch.x, noise=noise, seed=seed, values=values, training=training)
        with at(values):
            nll = batch.mean(self.likelihood.nll(batch.y, applied.f))
        moving = [applied.values[key(v)] for v in self.moving]
        return Terms(nll, tf.cast(applied.kl, nll.dtype), tf.cast(applied.penalty, nll.dtype), moving)

    def gradient(
        self, values: dict[Any, tf.Tensor], batch: Batch, noise: Any, seed: Any, kl_share: Any
    ) -> tuple[list[tf.Tensor], Terms]:
        """Compute the gradient with respect to `trainable` (zero for unused ones), and the terms.

        `kl_share` is the KL weight of the step divided by N. If divided here, XLA would do so for each parameter.
        """
        at_values = [values[key(v)] for v in self.trainable]
        with tf.GradientTape() as tape:
            tape.watch(at_values)
            nll, kl, penalty, moving = self.averaged(values, batch, noise, seed)
            loss = negative_elbo(nll + penalty, kl, num_data=1.0, kl_weight=tf.cast(kl_share, nll.dtype))
        check_known(tape.watched_variables(), values)
        gradients = tape.gradient(loss, at_values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return [tf.convert_to_tensor(g) for g in gradients], Terms(nll, kl, penalty, moving)

    def averaged(self, values: dict[Any, tf.Tensor], batch: Batch, noise: Any, seed: Any) -> Terms:
        """Compute the terms, averaged over the draws of a step."""
        size, draws = noise.shape[0] // self.num_samples, []
        for s in range(self.num_samples):
            own = noise[s * size : (s + 1) * size]
            draws.append(self.terms(values, batch, own, seed + tf.constant([0, s << 16])))
            values = {**values, **{key(v): value for v, value in zip(self.moving, draws[-1].moving, strict=True)}}
        if len(draws) == 1:
            return draws[0]
        means = [tf.add_n(list(terms)) / self.num_samples for terms in zip(*(d[:3] for d in draws), strict=True)]
        nll, kl, penalty = means
        return Terms(nll, kl, penalty, draws[-1].moving)

    def trains_only(self, posteriors: Sequence[Any]) -> bool:
        """Whether all that is trained is these posteriors and the likelihood."""
        of_posteriors = [v for q in posteriors for v in trainable_variables_of(q)]
        theirs = {key(v) for v in [*of_posteriors, *self.of_likelihood]}
        return theirs == {key(v) for v in self.trainable} and not self.moving

    def count_noise(self, shape: Sequence[int]) -> int:
        """Number of standard normal numbers that a step, or an evaluation, takes for a batch of this shape."""
        passes = (rehearse(self.network, shape, training=t, structure=self._of_network) for t in (True, False))
        return max(found.num_noise for found in passes) * self.num_samples

    def count_weights(self, shape: Sequence[int]) -> int:
        """Number of weights in a draw, for a batch of this shape."""
        drawn = rehearse(self.network, shape, structure=self._of_network).drawn
        return sum(w.shape.num_elements() for w in drawn)
