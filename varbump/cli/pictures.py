"""Pictures of a fit; each function plots finished numbers and returns a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from varbump.cli.forecasts import Forecast
from varbump.plotting import BandsDisplay, CalibrationDisplay, PartialDependenceDisplay, TrainingDisplay
from varbump.plotting.style import BLUE, GREY, INK, finish

__all__ = ["MOST_POINTS", "band", "calibration", "dependence", "observed", "save_picture", "training", "write_all"]

MOST_POINTS = 2_000
"""Largest number of points in a picture; rows are in random order, so the first ones are a fair sample."""

MOST_TARGETS = 4
"""Largest number of targets side by side."""

DPI = 110

LONGEST_LABEL = 32

MOST_TICKS = 5
"""Intervals between ticks of the horizontal axis: labels of as many as eight characters stay apart."""


def observed(targets: Sequence[str], y: np.ndarray, predicted: Forecast) -> Figure:
    """Plot observed against predicted values, with 95 % intervals, one panel for each target."""
    figure, panels = _panels(len(targets), 4.6)
    shown = slice(0, MOST_POINTS)
    for index, ax in enumerate(panels):
        mean, truth = predicted.mean[shown, index], y[shown, index]
        lower, upper = (side[0.95][shown, index] for side in (predicted.lower, predicted.upper))
        ax.vlines(mean, lower, upper, color=BLUE, linewidth=0.7, alpha=0.22)
        ax.plot([], [], "|", color=BLUE, markersize=9, markeredgewidth=1.2, label="95 % predictive interval")
        ax.plot(mean, truth, "o", color=INK, markersize=2.6, alpha=0.6, markeredgewidth=0, label="held-out row")
        ends = [min(mean.min(), truth.min()), max(mean.max(), truth.max())]
        ax.plot(ends, ends, color=GREY, linewidth=1, linestyle="--", label="predicted = observed")
        name = _label(targets[index])
        finish(ax, f"{name}, predicted", f"{name}, observed", {"fontsize": 8, "loc": "upper left"})
    return figure


def calibration(targets: Sequence[str], evaluation: Any) -> Figure:
    """Plot coverage against its nominal level, one panel for each target."""
    figure, panels = _panels(len(targets), 4.6)
    for index, ax in enumerate(panels):
        CalibrationDisplay(evaluation.targets[index] if evaluation.targets else evaluation).plot(ax)
        if len(targets) > 1:
            ax.set_title(_label(targets[index]), fontsize=10)
    return figure


def training(history: Any) -> Figure:
    """Plot the loss over the epochs."""
    figure, (ax,) = _panels(1, 4.2, 7.2)
    TrainingDisplay(history).plot(ax)
    columns = history.history
    late = np.concatenate([np.asarray(columns[name][len(columns[name]) // 20 :]) for name in ("loss", "nll")])
    early = max(columns["loss"])
    if early > late.max() + 2 * np.ptp(late):  # the first epochs would flatten all the others
        share = np.array(columns["kl"][len(columns["kl"]) // 20 :]) / history.num_data
        low, high = min(late.min(), share.min()), max(late.max(), share.max())
        ax.set_ylim(low - 0.05 * (high - low), high + 0.25 * (high - low))
    return figure


def band(
    feature: str, targets: Sequence[str], grid: np.ndarray, along: Forecast, x: np.ndarray, y: np.ndarray, alone: bool
) -> Figure:
    """Plot the prediction along one feature with the others at their medians, and held-out rows as they are."""
    figure, panels = _panels(len(targets), 3.9, 5.6)
    shown = (x >= grid[0]) & (x <= grid[-1])
    for index, ax in enumerate(panels):
        if shown.any():
            ax.plot(
                x[shown][:MOST_POINTS], y[shown, index][:MOST_POINTS], "o", color=INK, markersize=2.4, alpha=0.35,
                markeredgewidth=0, label="held-out rows", zorder=1,
            )  # fmt: skip
        BandsDisplay(grid, along.bands, output=index).plot(
            ax, xlabel=_label(feature) + ("" if alone else " (others at their median)"), ylabel=_label(targets[index])
        )
        handles, labels = ax.get_legend_handles_labels()
        ax.legend(handles, labels, frameon=False, fontsize=8)
    return figure


def dependence(targets: Sequence[str], curves: Sequence[Any], among: Sequence[Any] = ()) -> Figure:
    """Plot partial dependence on some columns, with one scale for those of a target, also for `among` if given.

    Parameters
    ----------
    targets : sequence of str
    curves : sequence of PartialDependence
    among : sequence of PartialDependence, optional
        Those on the same page: a column that matters less is then seen to.
    """
    mpl.rcParams["text.parse_math"] = False
    num = min(len(targets), MOST_TARGETS)
    wide = min(len(curves), 2) if num == 1 else num
    tall = -(-len(curves) * num // wide)
    figure = Figure(figsize=(5.6 * wide, 3.9 * tall), layout="constrained")
    panels = figure.subplots(tall, wide, squeeze=False).ravel()
    for spare in panels[len(curves) * num :]:
        spare.remove()
    for place, ax in enumerate(panels[: len(curves) * num]):
        curve, index = curves[place // num], place % num
        if curve.is_ordered and curve.values.dtype.kind != "M":
            ax.xaxis.set_major_locator(MaxNLocator(MOST_TICKS, steps=[1, 2, 2.5, 5, 10]))
        PartialDependenceDisplay(curve, output=index).plot(
            ax, xlabel=_label(curve.feature), ylabel=f"mean of {_label(targets[index])}"
        )
        ax.set_ylim(*_limits([each.bands for each in among or curves], index))
        if place and ax.get_legend() is not None:
            ax.get_legend().remove()
    return figure


def _limits(all_bands: Sequence[Any], index: int) -> tuple[float, float]:
    """Ends of an axis that shows all of these bands of one target, with room for the legend."""
    low = min(bands.lower[max(bands.levels)][:, index].min() for bands in all_bands)
    high = max(bands.upper[max(bands.levels)][:, index].max() for bands in all_bands)
    size = (high - low) or abs(high) or 1.0
    return low - 0.08 * size, high + 0.3 * size


def save_picture(figure: Figure, file: Any) -> None:
    """Write a PNG."""
    figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None})


def _panels(num_targets: int, height: float, width: float = 5.0) -> tuple[Figure, list[Any]]:
    """Make axes side by side, without pyplot, whose figures would stay open."""
    mpl.rcParams["text.parse_math"] = False  # names of columns may hold dollars
    num = min(num_targets, MOST_TARGETS)
    figure = Figure(figsize=(width * num, height), layout="constrained")
    panels = list(figure.subplots(1, num, squeeze=False)[0])
    for ax in panels:
        ax.xaxis.set_major_locator(MaxNLocator(MOST_TICKS, steps=[1, 2, 2.5, 5, 10]))
    return figure, panels


def _label(name: str) -> str:
    name = " ".join(name.split())
    return name if len(name) <= LONGEST_LABEL else name[: LONGEST_LABEL - 3] + "..."


def write_all(figures: dict[str, Figure], folder: Path) -> None:
    """Write each as ``name.png``."""
    for name, figure in figures.items():
        save_picture(figure, folder / f"{name}.png")
