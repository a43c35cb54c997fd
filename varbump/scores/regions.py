"""Coverage by region: intervals that are calibrated on average may still fail somewhere."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from varbump.core.checks import check_count, check_rows_match
from varbump.core.printed import Short
from varbump.scores.band import binomial_interval
from varbump.scores.evaluation import Evaluation

__all__ = ["RegionCoverage", "coverage_by_region"]


@dataclass(frozen=True, eq=False, repr=False)
class RegionCoverage(Short):
    """Coverage of the intervals of one level in bins of a feature.

    Attributes
    ----------
    level : float
        Nominal level.
    name : str
        Name of the feature.
    edges : ndarray (B + 1,)
        Edges of the bins, each with about the same number of rows.
    coverage : ndarray (B,)
    low, high : ndarray (B,)
        Exact binomial 95 % interval of each coverage.
    counts : ndarray (B,) of int
        Rows in each bin.
    """

    level: float
    name: str
    edges: np.ndarray
    coverage: np.ndarray
    low: np.ndarray
    high: np.ndarray
    counts: np.ndarray


def coverage_by_region(
    evaluation: Evaluation,
    x: Any,
    *,
    feature: int | str = 0,
    level: float = 0.95,
    num_bins: int = 8,
    target: int = 0,
) -> RegionCoverage:
    """Compute coverage in bins of a feature, or of any other quantity known for each row.

    Parameters
    ----------
    evaluation : Evaluation
        From `varbump.evaluate`.
    x : array-like or data frame (N, D) or (N,)
        The rows that were evaluated, or other values for each of them, such as predicted means.
    feature : int or str, default=0
        Column of x: its index, or its name if x is a data frame.
    level : float, default=0.95
        In (0, 1); not only the levels that were evaluated.
    num_bins : int, default=8
        Upper bound. Bins hold about the same number of rows; ties can make fewer of them.
    target : int, default=0
        Column of y.

    Returns
    -------
    RegionCoverage

    Raises
    ------
    ValueError
        If x has a different number of rows or no such column, or an argument is out of range.
    TypeError
        If `evaluation` is not an `Evaluation`.
    """
    check_count(num_bins, "num_bins")
    if not isinstance(evaluation, Evaluation):
        raise TypeError(f"evaluation must be what varbump.evaluate returns, got {type(evaluation).__name__}")
    if not isinstance(level, Real) or not 0.0 < level < 1.0:
        raise ValueError(f"level must lie between 0 and 1, got {level!r}")
    if not isinstance(target, (int, np.integer)) or not 0 <= target < evaluation.pit.shape[1]:
        raise ValueError(f"target must be from 0 to {evaluation.pit.shape[1] - 1}, got {target!r}")
    values, name = _column(x, feature)
    check_rows_match(values, evaluation.pit, "x", "the evaluation")
    inside = np.abs(2.0 * evaluation.pit[:, target] - 1.0) <= level
    edges = np.unique(np.quantile(values, np.linspace(0.0, 1.0, num_bins + 1)))
    if len(edges) == 1:  # all values are equal
        edges = np.repeat(edges, 2)
    bins = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
    counts = np.bincount(bins, minlength=len(edges) - 1)
    coverage = np.bincount(bins, weights=inside, minlength=len(counts)) / np.maximum(counts, 1)
    ends = [binomial_interval(float(c), int(n)) if n else (0.0, 1.0) for c, n in zip(coverage, counts, strict=True)]
    low, high = np.transpose(ends)
    return RegionCoverage(float(level), name, edges, coverage, low, high, counts)


def _column(x: Any, feature: int | str) -> tuple[np.ndarray, str]:
    """Select one column of x, as float64, and its name."""
    names = [str(name) for name in getattr(x, "columns", [])]
    array = np.asarray(x)
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or array.dtype.kind not in "fiubO":
        raise ValueError(f"x must hold numbers, one row for each that was evaluated, got shape {array.shape}")
    if isinstance(feature, str):
        if feature not in names:
            raise ValueError(f"feature {feature!r} is no column of x, which has {names or 'no names'}")
        index = names.index(feature)
    else:
        index = check_count(feature, "feature", 0)
        if index >= array.shape[1]:
            raise ValueError(f"feature must be below {array.shape[1]}, the number of columns of x, got {feature}")
    try:
        values = array[:, index].astype(float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"x must hold numbers, but column {feature!r} does not: {error}") from error
    if not np.isfinite(values).all():
        raise ValueError(f"x must be finite, but column {feature!r} has entries that are nan or infinite")
    return values, names[index] if names else (f"x{index}" if array.shape[1] > 1 else "x")
