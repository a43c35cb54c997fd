r"""How the expectation of y depends on one column, averaged over the others, with its uncertainty.

.. math:: g_s(v) = \tfrac1n \sum_i \operatorname{E}[y | x_i \text{ with column } j \text{ set to } v, w_s]

Each draw of the weights gives one curve g_s, and the bands are those of the curves: rows share their weights, so the
uncertainty of an average over rows is neither that of one row nor that divided by the root of n. As every partial
dependence, it averages over combinations of columns that may not occur.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console

from varbump.core.checks import check_count, check_draws
from varbump.core.printed import Printed, Table
from varbump.core.random import generator, host_seed
from varbump.diagnostics.varied import VariedColumn
from varbump.predict.bands import Bands, credible_bands
from varbump.predict.functions import predict_f

__all__ = ["PartialDependence", "partial_dependence"]

MOST_VALUES = 2**22
"""Largest number of values of f that are held at a time."""

ROWS_SEED = 17


@dataclass(frozen=True, repr=False)
class PartialDependence(Printed):
    """Partial dependence on one column, the result of `varbump.partial_dependence`; prints as a table.

    Attributes
    ----------
    feature : str
        Name of the column.
    values : ndarray (G,)
        Values that the column was set to: numbers or times in increasing order, or levels, the most frequent first.
    bands : Bands
        Epistemic bands of g at these values, (G, Q), units of y.
    is_ordered : bool
        Whether the values are numbers or times, between which a line makes sense.
    observed : ndarray
        Deciles of the column in the data, for the eye; its values in all rows that were averaged over, if they are not
        ordered.
    num_rows : int
        Rows that were averaged over.
    """

    feature: str
    values: np.ndarray
    bands: Bands
    is_ordered: bool
    observed: np.ndarray
    num_rows: int

    def __rich_console__(self, console: Console, options: Any) -> Any:
        yield f"Partial dependence of y on {self.feature}, averaged over {self.num_rows:,} rows"
        table = Table()
        for column in (self.feature, "mean", "sd", *(f"{100 * level:.4g} %" for level in self.bands.levels)):
            table.add_column(column, justify="right")
        shown = np.unique(np.linspace(0, len(self.values) - 1, 11).round().astype(int)) if self.is_ordered else None
        for row in range(len(self.values)) if shown is None else shown:
            ends = [(self.bands.lower[c][row, 0], self.bands.upper[c][row, 0]) for c in self.bands.levels]
            table.add_row(
                _text(self.values[row]),
                f"{self.bands.mean[row, 0]:.4g}",
                f"{self.bands.sd[row, 0]:.4g}",
                *(f"{low:.4g} to {high:.4g}" for low, high in ends),
            )
        yield table


def partial_dependence(
    model: Any,
    X: Any,
    feature: Any,
    *,
    grid: Any = 40,
    likelihood: Any = None,
    num_rows: int = 200,
    levels: Sequence[float] = (0.5, 0.95),
    num_draws: int = 200,
    seed: int | None = 0,
    chunk_size: int | None = None,
) -> PartialDependence:
    """Compute how the expectation of y depends on one column, averaged over the rows of X, with bands.

    Parameters
    ----------
    model : VariationalRegressor, tf_keras.Model or source of draws
        As for `varbump.predict_f`. scikit-learn's `sklearn.inspection` works on a regressor too, without the bands.
    X : array-like or data frame (N, D)
        Rows to average over, in the form that the model takes.
    feature : str or int
        The column: its name in a data frame, or its index.
    grid : int or array-like (G,), default=40
        Values for the column, or their number, between its 1 % and its 99 % quantile. Columns with no more different
        values than that are set to each of these; categories to each of their levels, at most 30.
    likelihood : likelihood, optional
        That of a network, whose `mean` then gives E[y | f].
    num_rows : int, default=200
        Rows of X that are averaged over, chosen at random where there are more.
    levels : sequence of float, default=(0.5, 0.95)
        Levels of the bands, each in (0, 1).
    num_draws : int, default=200
    seed : int, optional
        Of the rows and the draws.
    chunk_size : int, optional
        Rows per compiled call, as in `varbump.predict_f`. Affects time and memory, not the draws.

    Returns
    -------
    PartialDependence
        `varbump.PartialDependenceDisplay` draws it.

    Raises
    ------
    ValueError
        If X has no such column, or one without any value, if `grid` has no finite value, or as `varbump.predict_f`.
    TypeError
        As `varbump.predict_f`.

    References
    ----------
    Friedman (2001), "Greedy Function Approximation", section 8.2.

    Examples
    --------
    >>> import numpy as np, varbump as vb
    >>> X = np.random.default_rng(0).normal(size=(100, 2))
    >>> model = vb.VariationalRegressor((), likelihood="normal", embedding=None, random_state=0)
    >>> model = model.fit(X, 3.0 * X[:, 0] - X[:, 1])
    >>> found = vb.partial_dependence(model, X, 0, grid=[0.0, 1.0])
    >>> print(np.diff(found.bands.mean[:, 0]).round(2))
    [3.]
    """
    check_draws(num_draws, minimum=2)
    table = VariedColumn(X, feature)
    seed = host_seed(seed)
    size = min(check_count(num_rows, "num_rows"), len(table))
    rows = np.sort(generator(seed, ROWS_SEED).permutation(len(table))[:size])
    values, is_ordered = table.values(grid)
    at_once = max(MOST_VALUES // (size * num_draws), 1)
    options = {"likelihood": likelihood, "num_draws": num_draws, "seed": seed, "chunk_size": chunk_size}
    curves = []
    for start in range(0, len(values), at_once):
        some = values[start : start + at_once]
        changed = table.with_values(rows, some)
        f = np.asarray(predict_f(model, changed, **options))
        curves.append(f.reshape(num_draws, len(some), size, -1).mean(axis=2))
    bands = credible_bands(np.concatenate(curves, axis=1), levels=levels, kind="epistemic")
    return PartialDependence(table.name, values, bands, is_ordered, table.observed(rows, is_ordered), size)


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, (float, np.floating)) else str(value)
