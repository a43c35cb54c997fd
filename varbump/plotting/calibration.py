"""Plots of calibration: coverage by level, PIT, and coverage by region."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from varbump.core.temperature import temperature_label
from varbump.plotting.style import BLUE, GREY, INK, ORANGE, check_shown, finish, new_axes

__all__ = ["CalibrationDisplay", "CoverageByRegionDisplay", "PITDisplay"]


def _check_evaluation(value: Any) -> Any:
    return check_shown(value, "evaluation", "varbump.evaluate", "pit_histogram", "coverage_interval")


class CalibrationDisplay:
    """Observed against nominal coverage: intervals are too narrow below the diagonal, too wide above it.

    Parameters
    ----------
    evaluation : Evaluation
        From `varbump.evaluate`; with several targets, one of its `targets`, or itself for their mean.

    Attributes
    ----------
    ax_, figure_ : the axes and figure last drawn on
    line_ : Line2D of the coverage
    bars_ : LineCollection of its binomial 95 % intervals
    band_ : area that contains all points of a calibrated model
    diagonal_ : Line2D
    """

    def __init__(self, evaluation: Any) -> None:
        self.evaluation = _check_evaluation(evaluation)

    def plot(self, ax: Axes | None = None, *, color: str | None = None, name: str = "observed") -> CalibrationDisplay:
        """Draw on `ax`, or on new axes, and return self; by default a model outside the band is orange."""
        ax, evaluation = new_axes(ax), self.evaluation
        color = color or (BLUE if evaluation.calibrated else ORANGE)
        levels = 100 * np.array(evaluation.levels)
        low, high = (100 * np.array([evaluation.band[level][end] for level in evaluation.levels]) for end in (0, 1))
        ends = 100 * np.array([evaluation.coverage_interval[level] for level in evaluation.levels])
        observed = 100 * np.array(list(evaluation.coverage.values()))
        at, low, high = (
            np.concatenate([[end_low], values, [end_high]])
            for end_low, values, end_high in ((0, levels, 100), (0, low, 100), (0, high, 100))
        )
        self.band_ = ax.fill_between(at, low, high, color=GREY, alpha=0.25, linewidth=0, label="chance, 99.9 %")
        (self.diagonal_,) = ax.plot([0, 100], [0, 100], color=INK, linewidth=0.8, linestyle="--", label="calibrated")
        self.bars_ = ax.vlines(levels, ends[:, 0], ends[:, 1], color=color, linewidth=1.2, alpha=0.8)
        marker = "o" if evaluation.calibrated else "s"
        label = name + temperature_label(evaluation.temperature)
        (self.line_,) = ax.plot(levels, observed, marker, color=color, markersize=4, label=label)
        ax.set(xlim=(0, 100), ylim=(0, 100), aspect="equal")
        finish(ax, "nominal level of the interval, %", "observed in the interval, %", {"loc": "upper left"})
        self.ax_, self.figure_ = ax, ax.figure
        return self


class PITDisplay:
    """Histogram of the PIT: flat for a calibrated model, a valley if intervals are too narrow, a hill if too wide.

    Parameters
    ----------
    evaluation : Evaluation
        From `varbump.evaluate`.
    num_bins : int, default=20
    target : int, default=0
        Column of y.

    Attributes
    ----------
    ax_, figure_ : the axes and figure last drawn on
    histogram : PITHistogram
    bars_ : BarContainer
    band_ : area that contains all bars of a calibrated model, at the confidence given in its label
    """

    def __init__(self, evaluation: Any, *, num_bins: int = 20, target: int = 0) -> None:
        self.evaluation = _check_evaluation(evaluation)
        self.histogram = evaluation.pit_histogram(num_bins, target=target)

    def plot(self, ax: Axes | None = None, *, color: str | None = None) -> PITDisplay:
        """Draw on `ax`, or on new axes, and return self; by default a model that is not calibrated is orange."""
        ax, shown = new_axes(ax), self.histogram
        color = color or (BLUE if self.evaluation.calibrated else ORANGE)
        label = f"chance, all bars, {100 * shown.confidence:g} %"
        widths = np.diff(shown.edges)
        self.bars_ = ax.bar(
            shown.edges[:-1], shown.density, widths, align="edge", color=color, alpha=0.55, edgecolor="white"
        )
        self.band_ = ax.axhspan(shown.low, shown.high, color=GREY, alpha=0.3, linewidth=0, label=label)
        self.line_ = ax.axhline(1.0, color=INK, linewidth=0.8, linestyle="--", label="calibrated")
        ax.set(xlim=(0, 1), ylim=(0, 1.3 * max(shown.density.max(), shown.high)))  # room for the legend
        finish(ax, "PIT, F(y | x)", "density", {"loc": "upper center", "ncols": 2})
        self.ax_, self.figure_ = ax, ax.figure
        return self


class CoverageByRegionDisplay:
    """Coverage in bins of a feature, with binomial error bars, against the nominal level.

    Parameters
    ----------
    regions : RegionCoverage
        From `varbump.coverage_by_region`.

    Attributes
    ----------
    ax_, figure_ : the axes and figure last drawn on
    line_ : Line2D of the coverage at the middle of each bin
    bars_ : LineCollection of the intervals
    spans_ : LineCollection of the extents of the bins
    level_ : Line2D of the nominal level
    """

    def __init__(self, regions: Any) -> None:
        self.regions = check_shown(regions, "regions", "varbump.coverage_by_region", "edges", "counts")

    def plot(self, ax: Axes | None = None, *, color: str = BLUE, xlabel: str | None = None) -> CoverageByRegionDisplay:
        """Draw on `ax`, or on new axes, and return self."""
        ax, shown = new_axes(ax), self.regions
        middle = 0.5 * (shown.edges[1:] + shown.edges[:-1])
        coverage = 100 * shown.coverage
        self.spans_ = ax.hlines(coverage, shown.edges[:-1], shown.edges[1:], color=color, linewidth=1.0, alpha=0.5)
        self.bars_ = ax.vlines(middle, 100 * shown.low, 100 * shown.high, color=color, linewidth=1.2)
        label = f"observed and its 95 % interval, {_rows(shown.counts)} a bin"
        (self.line_,) = ax.plot(middle, coverage, "o", color=color, markersize=5, label=label)
        nominal = 100 * shown.level
        self.level_ = ax.axhline(nominal, color=INK, linewidth=0.8, linestyle="--", label=f"nominal, {nominal:.4g} %")
        bottom = min(100 * shown.low.min(), nominal)
        ax.set_ylim(max(bottom - 0.35 * (100 - bottom) - 1, 0), 101)
        finish(ax, xlabel or shown.name, "observed in the interval, %", {"loc": "lower left"})
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _rows(counts: Any) -> str:
    """For instance "250 rows" or "12 to 30 rows"."""
    low, high = int(counts.min()), int(counts.max())
    return f"{low:,} rows" if low == high else f"{low:,} to {high:,} rows"
