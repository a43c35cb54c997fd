"""Distributions over the weights of a layer, written for all of them at once or for each."""

from __future__ import annotations

from typing import Any

from tensorflow_probability import distributions as tfd

__all__ = ["over_weights"]


def over_weights(distribution: Any, made_by: str) -> tfd.Distribution:
    """One distribution over n weights, of one over a vector (n,) or of n over numbers, which are then independent.

    Raises
    ------
    TypeError
        If it is no distribution; the message names `made_by`.
    """
    if not isinstance(distribution, tfd.Distribution):
        raise TypeError(f"{made_by} must return a tfd.Distribution, got {distribution!r:.80}")
    rank = distribution.batch_shape.rank
    return tfd.Independent(distribution, reinterpreted_batch_ndims=rank) if rank else distribution
