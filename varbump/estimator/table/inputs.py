"""Inputs of a network that a column makes: their names, their kinds and their values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.preprocessing import OneHotEncoder

from varbump.estimator.table.columns import Column
from varbump.estimator.table.dates import phases

__all__ = ["inputs_of", "spread"]


def spread(columns: Sequence[Column], codes: np.ndarray) -> np.ndarray:
    """Return codes (N, D), nan where missing, as inputs (N, D'), nan where a number is missing."""
    parts = [_inputs(column, codes[:, index]) for index, column in enumerate(columns)]
    return np.concatenate([np.empty((len(codes), 0)), *parts], axis=1)


def inputs_of(column: Column, name: str) -> list[tuple[str, str]]:
    """Return name and kind of each input that a column makes."""
    if column.kind == "ignored":
        return []
    missing = [(f"{name}_missing", "indicator")] if column.has_indicator else []
    if column.kind != "category":
        waves = [f"{name}_{part}_{wave}" for part in column.parts for wave in ("sin", "cos")]
        return [(each, "numeric") for each in (name, *waves)] + missing
    shown = [(f"{name}_{column.levels[index]}", "indicator") for index in column.shown]
    rare = [(f"{name}_infrequent", "indicator")] if len(column.shown) < len(column.levels) else []
    return [*shown, *rare, *missing, (f"{name}_unseen", "indicator")]


def _inputs(column: Column, codes: np.ndarray) -> np.ndarray:
    """Return the inputs of one column (N, d) for its codes (N,)."""
    if column.kind == "ignored":
        return np.empty((len(codes), 0))
    missing = np.isnan(codes)
    parts = []
    if column.kind == "category":
        shown = OneHotEncoder(categories=[np.array(column.shown, float)], handle_unknown="ignore", sparse_output=False)
        active = shown.fit(np.array(column.shown, float)[:, None]).transform(codes[:, None])
        parts.append(active)
        rest = active.sum(axis=1) == 0.0
        if len(column.shown) < len(column.levels):
            parts.append((rest & (codes >= 0.0))[:, None])
            rest &= ~(codes >= 0.0)
        if column.has_indicator:
            parts.append(missing[:, None])
            rest &= ~missing
        parts.append(rest[:, None])
    else:
        parts.append(codes[:, None])
        if column.parts:
            parts.append(phases(codes, column.parts))
        if column.has_indicator:
            parts.append(missing[:, None])
    return np.concatenate([part.astype(np.float64) for part in parts], axis=1)
