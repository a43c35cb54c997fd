r"""Embedding of the rows of a table by a forest: what similar rows had for y, and how much they differed.

A network of smooth functions is slow to learn steps, and what only a few similar rows show; trees learn both at once.
Each row gets two numbers for each target, the mean of the predictions of many randomised trees and the log of their
spread, and the network takes them beside the features: it decides what to make of them, and how far to trust them.

Rows that trees were grown with would betray their own y. The network is trained with the predictions of those trees
that have not seen the observation, and new rows get those of all trees. If some rows of a table are equal, so will be
some new ones to rows of the table, about which the trees know more: one of several equal rows is predicted by trees
that have seen the others.

References
----------
Wolpert (1992), "Stacked Generalization"; Breiman (1996), "Out-of-Bag Estimation"; Geurts, Ernst and Wehenkel (2006),
"Extremely Randomized Trees".
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor

__all__ = ["ForestEmbedding"]

NUM_TREES = 100

MANY_ROWS, SMALLEST_LEAF = 20_000, 2
"""Beyond so many rows there are half as many trees, with leaves of so many rows: they would take hundreds of MB."""

MOST_REPEATED = 1.5
"""Mean weight up to which whole weights are taken as numbers of equal rows, and not as importance."""

RESOLUTION = 0.02
"""Spread, in sds of y, below which differences of spread are not told apart."""

LARGEST = 1e30
"""Trees compare in float32."""

NUM_PARTS = 4
"""Parts of the forest that are evaluated at the same time; their number decides the order of a sum, so it is fixed."""


class ForestEmbedding:
    """Embedding of rows by a grown forest.

    Parameters
    ----------
    trees : sequence of sklearn.tree._tree.Tree
    shift, unit : ndarray (2 Q,)
        Mean and sd of the columns over the training rows, by which they are standardised.
    """

    def __init__(self, trees: Sequence[Any], shift: np.ndarray, unit: np.ndarray) -> None:
        self.trees, self.shift, self.unit = tuple(trees), shift, unit

    @classmethod
    def grown(cls, x: np.ndarray, z: np.ndarray, weights: np.ndarray, seed: int) -> tuple[ForestEmbedding, np.ndarray]:
        """Grow a forest; return the embedding, and the columns (N, 2 Q) of the training rows by trees without them.

        Parameters
        ----------
        x, z : ndarray (N, D), (N, Q)
            Features, standardised, and targets in any units.
        weights : ndarray (N,)
        seed : int
        """
        z = z - np.average(z, axis=0, weights=weights)
        spread = np.sqrt(np.average(z**2, axis=0, weights=weights))
        spread = np.where(spread > 0.0, spread, 1.0)
        z = z / spread
        copies = _copies(weights)
        sources = np.repeat(np.arange(len(x)), copies)
        x, z, own_weights = x[sources], z[sources], (weights / copies)[sources]
        is_large = len(x) > MANY_ROWS
        forest = ExtraTreesRegressor(
            NUM_TREES // 2 if is_large else NUM_TREES,
            min_samples_leaf=SMALLEST_LEAF if is_large else 1,
            bootstrap=True,
            random_state=seed,
            n_jobs=-1,
        ).fit(x, z[:, 0] if z.shape[1] == 1 else z, sample_weight=own_weights)
        trees = [tree.tree_ for tree in forest.estimators_]
        unseen = np.ones((len(trees), len(x)), bool)
        for own, sampled in zip(unseen, forest.estimators_samples_, strict=True):
            own[sampled] = False
        columns = _columns(*_moments(trees, x, unseen, z.shape[1]))
        starts = np.cumsum(copies) - copies
        columns = np.add.reduceat(columns, starts, axis=0) / copies[:, None]
        shift = np.average(columns, axis=0, weights=weights)
        unit = np.sqrt(np.average((columns - shift) ** 2, axis=0, weights=weights))
        unit = np.where(unit > 0.0, unit, 1.0)
        return cls(trees, shift, unit), (columns - shift) / unit

    @property
    def num_columns(self) -> int:
        """Number of columns, two for each target."""
        return len(self.shift)

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Columns (N, 2 Q) of new rows x (N, D), by all trees."""
        return (_columns(*_moments(self.trees, x, None, self.num_columns // 2)) - self.shift) / self.unit


def _copies(weights: np.ndarray) -> np.ndarray:
    """Number of equal observations that each row stands for; 1 for all if the weights cannot be such numbers."""
    are_counts = (weights == np.round(weights)).all() and weights.mean() <= MOST_REPEATED
    return weights.astype(int) if are_counts else np.ones(len(weights), int)


def _columns(mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
    return np.concatenate([mean, np.log(spread + RESOLUTION)], axis=1)


def _moments(
    trees: Sequence[Any], x: np.ndarray, which: np.ndarray | None, num_targets: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd over the trees, (N, Q) each, of those that `which` (T, N) says; 0 and 1, as of y, without any."""
    rows = np.clip(x, -LARGEST, LARGEST).astype(np.float32)
    bounds = [len(trees) * part // NUM_PARTS for part in range(NUM_PARTS + 1)]

    def sums(part: int) -> np.ndarray:
        total = np.zeros((3, len(rows), num_targets))
        for index in range(bounds[part], bounds[part + 1]):
            mine = slice(None) if which is None else which[index]
            values = trees[index].predict(rows[mine]).reshape(-1, num_targets)
            for moment, power in zip(total, (np.ones_like(values), values, values**2), strict=True):
                moment[mine] += power
        return total

    with ThreadPoolExecutor(NUM_PARTS) as threads:
        count, first, second = np.sum(list(threads.map(sums, range(NUM_PARTS))), axis=0)
    first, second = (np.divide(moment, count, where=count > 0, out=np.zeros_like(moment)) for moment in (first, second))
    variance = np.maximum(second - first**2, 0.0)
    return first, np.where(count > 0, np.sqrt(variance), 1.0)
