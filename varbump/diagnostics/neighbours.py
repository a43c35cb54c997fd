r"""The nearest training rows, in the space that a model sees.

.. math:: d(x, x')^2 = \sum_j a_j^2 (x_j - x'_j)^2

over the inputs of the network: for a regressor, its columns encoded and standardised, without those of an embedding.
The weight :math:`a_j` of an input is the scale that the prior has learned for its weights, relative to the largest, so
a column that does not matter does not count either, and d is in sds of the most relevant input.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import pairwise_distances_argmin

from varbump.core.keras import keras
from varbump.diagnostics.parameters import relevance_of

__all__ = ["distance_weights", "nearest", "typical_distance"]

MOST_ROWS = 500
"""Rows, evenly spaced, whose distances say what is usual."""


def distance_weights(source: Any, num_inputs: int) -> np.ndarray:
    """Weight of each of the first inputs of a network in a distance (num_inputs,), at most 1; 1 if none is learned.

    Parameters
    ----------
    source : tf_keras.Model or source of draws
        Models of a pool count as much as they weigh in it, each with its first member.
    num_inputs : int
    """
    network = source if isinstance(source, keras.Model) else source.network
    parts = [(part.ensemble.network, part.weight, part.inputs) for part in getattr(source, "parts", ())]
    squares = np.zeros(num_inputs)
    for each, share, seen in parts or [(network, 1.0, np.ones(num_inputs))]:
        scales = relevance_of(each)
        if scales is None or len(scales) < num_inputs:
            return np.ones(num_inputs)
        scales = np.asarray(scales, np.float64)[:num_inputs] * seen[:num_inputs]
        squares += share * (scales / max(scales.max(), np.finfo(float).tiny)) ** 2
    return np.sqrt(squares / squares.max()) if squares.any() else np.ones(num_inputs)


def nearest(x: np.ndarray, among: np.ndarray, num: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the nearest rows (R, K) and their distances (R, K), the nearest first; of equal ones the first.

    Parameters
    ----------
    x, among : ndarray (R, D), (N, D)
        Weighted inputs.
    num : int
        K, at most N.
    """
    indices, distances = np.empty((len(x), num), int), np.empty((len(x), num))
    for row, point in enumerate(x):
        apart = np.sqrt(np.sum((among - point) ** 2, axis=1))
        close = np.flatnonzero(apart <= np.partition(apart, num - 1)[num - 1])
        indices[row] = close[np.argsort(apart[close], kind="stable")][:num]
        distances[row] = apart[indices[row]]
    return indices, distances


def typical_distance(x: np.ndarray, among: np.ndarray) -> float:
    """Median over rows x (N, D) of the distance to the nearest of the rows `among` (M, D)."""
    some = x[:: -(-len(x) // MOST_ROWS)]
    closest = among[pairwise_distances_argmin(some, among)]
    return float(np.median(np.sqrt(np.sum((some - closest) ** 2, axis=1))))
