"""Loss that trains an inducing point posterior, with the interface of `NetworkLoss`."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import tensorflow as tf

from varbump.core.keras import float_dtype, keras
from varbump.core.tracing import vectorized
from varbump.forward.apply import apply
from varbump.forward.stateless import all_variables, at, make_stateless
from varbump.forward.structure import likelihood_structure, network_structure
from varbump.inference.importance.inducing import InducingPass, InducingPosterior
from varbump.inference.vi.loss import Batch, NetworkLoss, Terms

__all__ = ["InducingLoss"]


class InducingLoss(NetworkLoss):
    """Loss of a network whose weights are drawn from an `InducingPosterior`.

    Parameters
    ----------
    posterior : InducingPosterior
    network, likelihood, num_samples
        As in `NetworkLoss`. Neither the network nor the likelihood is trained.
    """

    explains = False

    def __init__(self, posterior: InducingPosterior, network: keras.Model, likelihood: Any, num_samples: int) -> None:
        self.network, self.likelihood, self.num_samples = network, likelihood, num_samples
        self.dtype = tf.as_dtype(float_dtype(network))
        self._posterior = posterior
        self.trainable, self.moving = posterior.variables, []
        self.fixed = all_variables(network, likelihood)
        make_stateless(self.trainable)
        structures = network_structure(network, lasting=False), likelihood_structure(likelihood)
        self.structure: Hashable = ("inducing", *structures, num_samples, posterior.num_inducing)

    def terms(
        self, values: dict[Any, tf.Tensor], batch: Batch, noise: Any, seed: Any, *, training: bool = True
    ) -> Terms:
        """Compute the terms, averaged over the draws of a step; there are no penalties."""
        num_rows = self._posterior.num_inducing

        def one(own: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            with at(values):
                through = InducingPass(self._posterior, own, seed)
                rows = tf.concat([tf.convert_to_tensor(self._posterior.inputs), batch.x], 0)
                applied = apply(self.network, rows, values=values, through=through)
                return self.likelihood.nll(batch.y, applied.f[num_rows:]), tf.cast(applied.kl, self.dtype)

        draws = tf.reshape(noise, [self.num_samples, -1])
        nll, kl = vectorized(one, draws, fallback_to_while_loop=False)
        mean = batch.mean(tf.reduce_mean(nll, 0))
        return Terms(mean, tf.cast(tf.reduce_mean(kl), mean.dtype), tf.zeros([], mean.dtype), [])

    def averaged(self, values: dict[Any, tf.Tensor], batch: Batch, noise: Any, seed: Any) -> Terms:
        """Compute the terms as `terms` does: all draws of a step are taken at once."""
        return self.terms(values, batch, noise, seed)

    def count_noise(self, shape: Sequence[int]) -> int:
        """Number of standard normal numbers that a step takes, whatever the shape of its batch."""
        del shape
        return self.num_samples * self._posterior.num_weights
