"""Losses of K members of one structure at once; a single network is K = 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from varbump.core.tracing import vectorized
from varbump.forward.stateless import key
from varbump.inference.vi.loss import Batch

__all__ = ["Gradient", "Members", "rotated"]


class Gradient(NamedTuple):
    """Gradients of all members, with the terms of the loss.

    Attributes
    ----------
    gradients : list of Tensor (K, ...)
        Gradients of each member's own loss.
    nll, kl : Tensor ()
        Means over the members; the nll includes the penalties.
    moving : list of Tensor (K, ...)
        As in `varbump.inference.vi.loss.Terms`.
    """

    gradients: list[tf.Tensor]
    nll: tf.Tensor
    kl: tf.Tensor
    moving: list[tf.Tensor]


class Members:
    """Loss vectorised over K members, which have their own values of all variables but the fixed ones.

    Parameters
    ----------
    loss : NetworkLoss or InducingLoss
    num_members : int
        K.

    Notes
    -----
    With K = 1 nothing is vectorised: the loss is evaluated directly, and the leading axis is added to the results.
    """

    def __init__(self, loss: Any, num_members: int) -> None:
        self.loss, self.num_members = loss, num_members

    def gradient(
        self, values: Any, moving: Any, fixed: Any, batch: Batch, noise: Any, seed: Any, kl_share: Any
    ) -> Gradient:
        """Compute the gradients of all members on one batch, each with its own noise."""

        def one(own_values: Any, own_moving: Any, own_noise: Any, own_seed: Any, own_batch: Batch) -> Any:
            taken = self._values(own_values, own_moving, fixed)
            gradients, terms = self.loss.gradient(taken, own_batch, own_noise, own_seed, kl_share)
            return gradients, terms.nll + terms.penalty, terms.kl, terms.moving

        gradients, nll, kl, moved = self._map(one, values, moving, batch, noise, seed)
        return Gradient(gradients, tf.reduce_mean(nll), tf.reduce_mean(kl), moved)

    def evaluate(self, values: Any, moving: Any, fixed: Any, batch: Batch, noise: Any, seed: Any) -> tuple[Any, Any]:
        """Compute the nll of one draw and the KL, averaged over the members; moving variables stay the same."""

        def one(own_values: Any, own_moving: Any, own_noise: Any, own_seed: Any, own_batch: Batch) -> Any:
            taken = self._values(own_values, own_moving, fixed)
            terms = self.loss.terms(taken, own_batch, own_noise, own_seed, training=False)
            return terms.nll, terms.kl

        nll, kl = self._map(one, values, moving, batch, noise, seed)
        return tf.reduce_mean(nll), tf.reduce_mean(kl)

    def _values(self, trainable: Any, moving: Any, fixed: Any) -> dict[Any, tf.Tensor]:
        variables = [*self.loss.trainable, *self.loss.moving, *self.loss.fixed]
        return {key(v): value for v, value in zip(variables, [*trainable, *moving, *fixed], strict=True)}

    def _map(self, one: Any, values: Sequence[Any], moving: Sequence[Any], batch: Batch, noise: Any, seed: Any) -> Any:
        if self.num_members == 1:
            result = one([v[0] for v in values], [m[0] for m in moving], noise, seed, batch)
            return tf.nest.map_structure(lambda t: t[None], result)

        def member(arguments: Any) -> Any:
            own_values, own_moving, own_noise, index, *own_weights = arguments
            return one(
                list(own_values),
                list(own_moving),
                own_noise,
                seed + tf.stack([tf.zeros_like(index), index * 65_537]),
                batch._replace(row_weights=own_weights[0]) if own_weights else batch,
            )

        own_noise = rotated(noise, self.num_members)
        arguments: tuple[Any, ...] = (tuple(values), tuple(moving), own_noise, tf.range(self.num_members))
        if batch.row_weights is not None and batch.row_weights.shape.rank == 2:
            arguments += (tf.transpose(batch.row_weights),)
        return vectorized(member, arguments)


def rotated(noise: tf.Tensor, count: int) -> tf.Tensor:
    """Rotate noise (P,) by a different offset for each of `count` members: (count, P).

    Drawing separate noise would take most of the time of a step of many small networks. For each member the numbers
    are independent normals, and no weight has the same number in two members.
    """
    size = noise.shape[0]
    twice = tf.concat([noise, noise], 0)
    return tf.stack([twice[start : start + size] for start in (np.arange(count) * size) // count])
