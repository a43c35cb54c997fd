"""What mattered in a fit: by how much each column, and how y depends on the most relevant ones.

It is computed when the training rows are at hand, and written to run.json, of which ``varbump report`` is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from varbump.cli.cells_of_json import as_json, short
from varbump.cli.digits import rounded
from varbump.cli.frame import CATEGORY, DATE, Frame, joined
from varbump.cli.mattered_content import CURVES, LARGEST, MOST_TARGETS
from varbump.cli.summaries import kinds_of
from varbump.core.random import generator
from varbump.diagnostics import PartialDependence, partial_dependence
from varbump.predict.bands import Bands
from varbump.predict.predictive import BLOCK

__all__ = ["add_permutation", "dependence_of", "dependences", "mattering"]

MOST_COLUMNS = 4
"""Largest number of columns whose partial dependence is computed, and that are shown of a row."""

GRID = 30

DEPENDENCE_ROWS = 64
"""Rows that partial dependence is averaged over: more change the curves less than their bands are wide."""

PERMUTED_ROWS, MOST_PERMUTED, FEWEST_PERMUTED = 200, 10_000, 20
"""Rows in which a column is permuted, the largest number of rows over all columns, and the fewest that say anything."""

SEED = 61
"""Path of the random numbers of permutations."""

LEVELS = (0.5, 0.95)


def add_permutation(model: Any, features: Sequence[dict[str, Any]], x: Any, y: np.ndarray, seed: int) -> None:
    r"""Add to each feature by how much the model gets worse if its cells are permuted, with a standard error.

    .. math:: \frac{1}{n} \sum_i \frac{(y_i - \hat y_i')^2 - (y_i - \hat y_i)^2}{\operatorname{var} y}

    averaged over targets: the loss of R^2, as in `sklearn.inspection.permutation_importance`. Nothing is added if there
    are too many columns.

    Parameters
    ----------
    model : VariationalRegressor
    features : sequence of dict
        Descriptions of the columns.
    x, y : ndarray or Frame (N, D), ndarray (N, Q)
        Rows, in random order; the first ones are taken.
    seed : int
    """
    size = min(len(y), PERMUTED_ROWS, MOST_PERMUTED // len(features))
    if size < min(FEWEST_PERMUTED, len(y)) or size < 2:
        return
    x, y = x[:size], y[:size]
    order = generator(seed, SEED).permutation(size)
    tables = [x, *(_permuted(x, index, order) for index in range(len(features)))]
    predicted = np.reshape(model.predict(joined(tables)), (len(tables), size, -1))
    unit = y.var(axis=0)
    errors = np.mean((predicted - y) ** 2 / np.where(unit > 0.0, unit, 1.0), axis=-1)
    worse = errors[1:] - errors[0]
    if not np.isfinite(worse).all():
        return
    for feature, rises in zip(features, worse, strict=True):
        feature["permutation"] = short(rises.mean())
        feature["permutation_se"] = short(rises.std(ddof=1) / np.sqrt(size))


def mattering(model: Any, features: Sequence[dict[str, Any]]) -> list[int]:
    """Indices of the columns that mattered most, by the relevance that the prior has learned or by permutation."""
    by = next((name for name in ("relevance", "permutation") if name in features[0]), None)
    used = [index for index, column in enumerate(model.encoder_.source) if column.kind != "ignored"]
    scores = np.array([features[index][by] if by else 0.0 for index in used])
    return [used[index] for index in np.argsort(-scores, kind="stable")[:MOST_COLUMNS]]


def dependence_of(model: Any, features: Sequence[dict[str, Any]], which: Sequence[int], x: Any) -> list[dict[str, Any]]:
    """Partial dependence on columns of training rows x (N, D), as run.json holds it; none on constant columns."""
    found: list[dict[str, Any]] = []
    if len(features) < 2:
        return found
    num_draws = model.predict_dist(x[:1]).predictive.num_draws  # so that it shares the programs of other predictions
    for index in which:
        one = partial_dependence(
            model, x, index, grid=GRID, num_rows=DEPENDENCE_ROWS, levels=LEVELS, num_draws=num_draws,
            seed=model._draw_seed, chunk_size=BLOCK,
        )  # fmt: skip
        values, bands = _values(one), one.bands
        ends = np.sort(
            [  # rounding could change the order of equal ones
                rounded(end, bands.sd)
                for end in (bands.lower[0.95], bands.lower[0.5], bands.upper[0.5], bands.upper[0.95])
            ],
            axis=0,
        )
        curves = [rounded(bands.mean, bands.sd), rounded(bands.sd, bands.sd), *ends]
        if len(set(values)) < max(len(values), 2) or not all((np.abs(curve) < LARGEST).all() for curve in curves):
            continue
        targets = [
            {name: curve[:, q].tolist() for name, curve in zip(CURVES, curves, strict=True)}
            for q in range(min(bands.mean.shape[1], MOST_TARGETS))
        ]
        observed = as_json(one.observed) if one.is_ordered else []
        found.append(
            {
                "feature": features[index]["name"],
                "rows": one.num_rows,
                "values": values,
                "observed": observed,
                "targets": targets,
            }
        )
    return found


def dependences(info: dict[str, Any]) -> list[PartialDependence]:
    """Partial dependence in a run.json."""
    found, kinds = [], kinds_of(info["features"])
    for one in info.get("dependence", []):
        kind = kinds[one["feature"]]
        dtype = {CATEGORY: "O", DATE: "datetime64[s]"}.get(kind, "float64")
        values, observed = (np.array(one[name], dtype) for name in ("values", "observed"))
        curves = {name: np.array([target[name] for target in one["targets"]], float).T for name in CURVES}
        lower, upper = ({c: curves[f"{end}_{100 * c:g}"] for c in LEVELS} for end in ("lower", "upper"))
        bands = Bands(curves["mean"], curves["sd"], lower, upper, kind="epistemic")
        found.append(PartialDependence(one["feature"], values, bands, kind != CATEGORY, observed, one["rows"]))
    return found


def _values(one: PartialDependence) -> list[Any]:
    """Values of the column, with the digits that tell them apart."""
    if one.values.dtype.kind == "f":
        return rounded(one.values, np.ptp(one.values)).tolist()
    return as_json(one.values)


def _permuted(x: Any, index: int, order: np.ndarray) -> Any:
    """Rows x with the cells of one column in another order."""
    if isinstance(x, np.ndarray):
        changed = x.copy()
        changed[:, index] = x[order, index]
        return changed
    name = x.columns[index]
    return Frame({each: x[each][order] if each == name else x[each] for each in x.columns})
