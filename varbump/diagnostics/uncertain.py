r"""The rows of which a model is least sure, and the training rows that are nearest to them.

A row is ranked by its epistemic sd, that of the expectation of y over draws of the weights, which more data would
reduce; with several targets by

.. math:: r_n = \Bigl(\tfrac1Q \sum_q (\mathrm{sd}_{nq} / \operatorname{median}_m \mathrm{sd}_{mq})^2\Bigr)^{1/2}
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape

from varbump.core.checks import check_array, check_count
from varbump.core.printed import Printed, Table
from varbump.diagnostics.neighbours import distance_weights, nearest, typical_distance
from varbump.predict.distribution import PredictiveDistribution
from varbump.predict.wrapped import innermost, predict_dist

__all__ = ["UncertainRows", "uncertain_rows"]


@dataclass(frozen=True, repr=False)
class UncertainRows(Printed):
    """Rows of the largest epistemic sd, the result of `varbump.uncertain_rows`; prints as a table.

    Attributes
    ----------
    rows : ndarray of int (R,)
        Positions in X, as for `iloc`, the largest sd first.
    labels : ndarray (R,)
        Those of the data frame's index, or the positions if X has none.
    mean, epistemic_sd, sd : ndarray (R, Q)
        Mean of y, sd of its expectation, and sd of y, noise included; units of y.
    relative_sd : ndarray (R,)
        The epistemic sd in units of its median over X; the root mean square over several targets.
    median_sd : ndarray (Q,)
        That median, units of y.
    num_rows : int
        N, the number of rows of X.
    neighbours : ndarray of int (R, K) or None
        Positions in X_train of the nearest training rows, the nearest first; None without X_train, as what follows.
    neighbour_labels : ndarray (R, K) or None
        Those of the index of X_train, or the positions.
    neighbour_y : ndarray (R, K, Q) or None
        Their y; None without y_train.
    distances : ndarray (R, K) or None
        Between the row and its neighbours, in sds of the most relevant input.
    typical_distance : float or None
        Median over the rows of X of the distance to the nearest training row.
    """

    rows: np.ndarray
    labels: np.ndarray
    mean: np.ndarray
    epistemic_sd: np.ndarray
    sd: np.ndarray
    relative_sd: np.ndarray
    median_sd: np.ndarray
    num_rows: int
    neighbours: np.ndarray | None = None
    neighbour_labels: np.ndarray | None = None
    neighbour_y: np.ndarray | None = None
    distances: np.ndarray | None = None
    typical_distance: float | None = None

    def __rich_console__(self, console: Console, options: Any) -> Any:
        count = "The row" if len(self.rows) == 1 else f"The {len(self.rows):,} rows"
        yield f"{count} of {self.num_rows:,} with the largest epistemic sd, whose median is {_numbers(self.median_sd)}"
        table = Table()
        for heading in ("row", "mean", "epistemic sd", "x median", "sd"):
            table.add_column(heading, justify="right")
        if self.neighbours is not None:
            table.add_column("nearest", justify="right")
            if self.neighbour_y is not None:
                table.add_column("its y", justify="right")
            table.add_column("distance", justify="right")
        for row in range(len(self.rows)):
            own = [
                escape(str(self.labels[row])),
                _numbers(self.mean[row]),
                _numbers(self.epistemic_sd[row]),
                f"{self.relative_sd[row]:.3g}",
                _numbers(self.sd[row]),
            ]
            for cells in self._cells_of_neighbours(row):
                table.add_row(*own, *cells)
                own = [""] * len(own)
        yield table
        if self.typical_distance is not None:
            yield (
                f"Distances are in sds of the most relevant input; half of the rows have a training row within "
                f"{self.typical_distance:.3g}."
            )

    def _cells_of_neighbours(self, row: int) -> list[list[str]]:
        if self.neighbour_labels is None or self.distances is None:
            return [[]]
        shown = []
        for index, (label, distance) in enumerate(zip(self.neighbour_labels[row], self.distances[row], strict=True)):
            observed = [] if self.neighbour_y is None else [_numbers(self.neighbour_y[row, index])]
            shown.append([escape(str(label)), *observed, f"{distance:.3g}"])
        return shown


def uncertain_rows(
    model: Any,
    X: Any,
    *,
    X_train: Any = None,
    y_train: Any = None,
    num_rows: int = 5,
    num_neighbours: int = 3,
    likelihood: Any = None,
    num_draws: int = 400,
    seed: int | None = 0,
) -> UncertainRows:
    r"""Find the rows of which a model is least sure, and the training rows that are nearest to each of them.

    A row far from all others has few data to learn from; a row among others with a large epistemic sd lies where the
    function bends, or where the fit has not settled. These are also the rows whose y would teach the model most
    (uncertainty sampling, without the noise).

    Parameters
    ----------
    model : VariationalRegressor, estimator around one, tf_keras.Model or source of draws
        As for `varbump.predict_dist`.
    X : array-like or data frame (N, D)
        Rows to choose from, in the form that the model takes.
    X_train : array-like or data frame (M, D), optional
        Rows that the model was trained on, in the same form: a model does not keep them. Without them no neighbours are
        looked for. A row of X that is one of them is its own nearest row.
    y_train : array-like (M,) or (M, Q), optional
        y of these rows, to be shown beside them.
    num_rows : int, default=5
        R; at most N are returned.
    num_neighbours : int, default=3
        K; at most M are returned.
    likelihood : likelihood, optional
        That of a network.
    num_draws, seed
        As in `varbump.predict_dist`; estimators use their own.

    Returns
    -------
    UncertainRows
        Positions, predictions and neighbours of these rows.

    Raises
    ------
    ValueError
        If a count is below 1, if X or X_train does not fit the model, or if y_train does not have finite numbers for
        each row of X_train, or is passed without it.
    TypeError
        As `varbump.predict_dist`.

    Notes
    -----
    Distances are Euclidean, between the inputs of the network. For a regressor these are its columns, encoded and
    standardised, without the predictions of the forest. If the prior has learned a scale for each input (``"ard"``),
    inputs are weighted by it, relative to the largest: with :math:`a_j \le 1`,

    .. math:: d(x, x')^2 = \sum_j a_j^2 (x_j - x'_j)^2

    References
    ----------
    Lewis and Gale (1994), "A Sequential Algorithm for Training Text Classifiers" (uncertainty sampling).

    Examples
    --------
    >>> import numpy as np, varbump as vb
    >>> X = np.linspace(-1.0, 1.0, 41)[:, None]
    >>> model = vb.VariationalRegressor((), likelihood="normal", embedding=None, random_state=0).fit(X, 2.0 * X[:, 0])
    >>> found = vb.uncertain_rows(model, [[0.0], [5.0], [0.1]], X_train=X, y_train=2.0 * X[:, 0], num_rows=1)
    >>> found.rows, X[found.neighbours[0, 0]]
    (array([1]), array([1.]))
    """
    num_rows, num_neighbours = check_count(num_rows, "num_rows"), check_count(num_neighbours, "num_neighbours")
    if X_train is None and y_train is not None:
        raise ValueError("y_train is the y of X_train, which is missing")
    options = {"likelihood": likelihood, "num_draws": num_draws, "seed": seed}
    predicted = predict_dist(model, X, **options)
    moments = [mixture.moments() for _, mixture in predicted.blocks()]
    mean, sd, epistemic = (np.concatenate(part) for part in zip(*moments, strict=True))
    median = np.median(epistemic, axis=0)
    relative = np.sqrt(np.mean((epistemic / np.where(median > 0.0, median, 1.0)) ** 2, axis=1))
    chosen = np.argsort(-relative, kind="stable")[:num_rows]
    of_rows = (chosen, _labels(X)[chosen], mean[chosen], epistemic[chosen], sd[chosen], relative[chosen])
    if X_train is None:
        return UncertainRows(*of_rows, median, len(mean))
    try:
        known = predict_dist(model, X_train, **options)
    except ValueError as error:
        raise ValueError(f"X_train: {error}") from error
    labels, observed = _labels(X_train), _targets(y_train, (len(known.inputs), mean.shape[1]))
    x, among = _weighted(model, predicted), _weighted(model, known)
    neighbours, distances = nearest(x[chosen], among, min(num_neighbours, len(among)))
    return UncertainRows(
        *of_rows,
        median,
        len(mean),
        neighbours,
        labels[neighbours],
        None if observed is None else observed[neighbours],
        distances,
        typical_distance(x, among),
    )


def _weighted(model: Any, predicted: PredictiveDistribution) -> np.ndarray:
    """Inputs of the network times their weights in a distance, without those of an embedding, (N, D)."""
    inputs = predicted.inputs.reshape(len(predicted.inputs), -1).astype(np.float64)
    encoder = getattr(innermost(model), "encoder_", None)
    num_inputs = inputs.shape[1] if encoder is None else len(encoder.columns)
    return inputs[:, :num_inputs] * distance_weights(predicted.predictive.source, num_inputs)


def _labels(X: Any) -> np.ndarray:
    """Labels of the rows of a table, their positions where it has none."""
    index = getattr(X, "index", None)
    return np.arange(len(X)) if index is None or callable(index) else np.asarray(index)


def _targets(y: Any, shape: tuple[int, int]) -> np.ndarray | None:
    """Targets of the training rows (M, Q)."""
    if y is None:
        return None
    array = check_array(y, "y_train", "float64")
    if array.shape != shape:
        raise ValueError(f"y_train must have shape {shape}, as X_train and the model have, got {np.shape(y)}")
    return array


def _numbers(values: np.ndarray) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
