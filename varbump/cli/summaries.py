"""Columns in a few numbers and words, for run.json, and typical rows made of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from varbump.cli.frame import CATEGORY, DATE, NUMBER, rows_of
from varbump.cli.run_content import STATISTICS

__all__ = ["describe", "describe_features", "kinds_of", "rows_along"]

DATES = ("min", "median", "max")


def describe(name: str, values: np.ndarray) -> dict[str, Any]:
    """Summarise a column of numbers (N,), of which some may be missing."""
    present = values[~np.isnan(values)]
    present = present if len(present) else np.zeros(1)
    quantiles = np.quantile(present, [0, 0.25, 0.5, 0.75, 1])
    return {
        "name": name,
        **dict(zip(STATISTICS, map(float, quantiles), strict=True)),
        "mean": float(present.mean()),
        "sd": float(present.std()),
    }


def describe_features(names: Sequence[str], x: Any) -> list[dict[str, Any]]:
    """Summarise each column of a matrix or a frame."""
    if isinstance(x, np.ndarray):
        columns = dict(zip(names, x.T, strict=True))
    else:
        columns = {name: x[name] for name in names}
    return [_described(name, column) for name, column in columns.items()]


def kinds_of(features: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Kind of each feature of a run."""
    return {feature["name"]: feature.get("kind", NUMBER) for feature in features}


def rows_along(features: Sequence[dict[str, Any]], which: int, num_points: int) -> tuple[np.ndarray, Any]:
    """Rows in which one feature runs over its range while the others are typical, and its values (num_points,)."""
    columns: dict[str, np.ndarray] = {}
    grid = np.linspace(features[which]["min"], features[which]["max"], num_points)
    for index, feature in enumerate(features):
        kind = feature.get("kind", NUMBER)
        if index == which:
            columns[feature["name"]] = grid
        elif kind == NUMBER:
            columns[feature["name"]] = np.full(num_points, feature["median"])
        elif kind == DATE:
            columns[feature["name"]] = np.full(num_points, np.datetime64(feature["median"] or "NaT", "us"))
        else:
            columns[feature["name"]] = np.full(num_points, feature["most_frequent"] or None, dtype=object)
    return grid, rows_of(columns)


def _described(name: str, column: np.ndarray) -> dict[str, Any]:
    if column.dtype.kind == "f":
        about = describe(name, column)
        empty = int(np.isnan(column).sum())
        return {**about, "empty": empty} if empty else about
    if column.dtype.kind == "M":
        present = np.sort(column[~np.isnat(column)])
        chosen = [present[0], present[(len(present) - 1) // 2], present[-1]] if len(present) else []
        days = dict(zip(DATES, [np.datetime_as_string(d, "s") for d in chosen] or [""] * 3, strict=True))
        return {
            "name": name,
            "kind": DATE,
            **{k: str(v) for k, v in days.items()},
            "empty": len(column) - len(present),
        }
    words = [word for word in column if word is not None]
    counts: Mapping[str, int] = Counter(sorted(words))
    first = max(counts, key=counts.__getitem__) if counts else ""
    about = {"num_levels": len(counts), "most_frequent": first, "empty": len(column) - len(words)}
    return {"name": name, "kind": CATEGORY, **about}
