"""Plots of how y depends on one column, averaged over the others."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import ConciseDateFormatter

from varbump.core.temperature import temperature_label
from varbump.plotting.bands import BandsDisplay
from varbump.plotting.style import BLUE, GREY, check_shown, finish, level_label, new_axes

__all__ = ["PartialDependenceDisplay"]

ROTATED, LONGEST = 8, 16
"""Number of levels above which their names are slanted, and their largest number of characters."""


class PartialDependenceDisplay:
    """Partial dependence on one column: a curve with its bands, or a point with its intervals for each level.

    Ticks above the axis mark the deciles of the column in the data: far from them the curve is extrapolated.

    Parameters
    ----------
    dependence : PartialDependence
        From `varbump.partial_dependence`.
    output : int, default=0
        Column of y.

    Attributes
    ----------
    ax_, figure_ : the axes and figure last drawn on
    """

    def __init__(self, dependence: Any, *, output: int = 0) -> None:
        made_by = "varbump.partial_dependence"
        self.dependence = check_shown(dependence, "dependence", made_by, "feature", "values", "bands", "is_ordered")
        self._along = BandsDisplay(np.arange(len(dependence.values)), dependence.bands, output=output)
        if dependence.is_ordered:
            self._along.x = dependence.values  # numbers or times
        self.output = output

    def plot(
        self, ax: Axes | None = None, *, color: str = BLUE, xlabel: str | None = None, ylabel: str = "mean of y"
    ) -> PartialDependenceDisplay:
        """Draw on `ax`, or on new axes, and return self."""
        ax = new_axes(ax)
        xlabel = self.dependence.feature if xlabel is None else xlabel
        if self.dependence.is_ordered:
            self._plot_curve(ax, color, xlabel, ylabel)
        else:
            self._plot_levels(ax, color, xlabel, ylabel)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _plot_curve(self, ax: Axes, color: str, xlabel: str, ylabel: str) -> None:
        observed = self.dependence.observed
        self._along.plot(ax, color=color, xlabel=xlabel, ylabel=ylabel)
        low = np.full(len(observed), 0.015)
        ax.plot(observed, low, "|", color=GREY, markersize=7, transform=ax.get_xaxis_transform())
        if self.dependence.values.dtype.kind == "M":
            ax.xaxis.set_major_formatter(ConciseDateFormatter(ax.xaxis.get_major_locator()))

    def _plot_levels(self, ax: Axes, color: str, xlabel: str, ylabel: str) -> None:
        bands, places = self.dependence.bands, np.arange(len(self.dependence.values))
        for rank, level in enumerate(sorted(bands.levels, reverse=True)):
            label = level_label(level, bands.kind) + temperature_label(bands.temperature)
            ends = bands.lower[level][:, self.output], bands.upper[level][:, self.output]
            ax.vlines(places, *ends, color=color, linewidth=1.2 + 2.4 * rank, alpha=0.8, label=label)
        ax.plot(places, bands.mean[:, self.output], "o", color=color, markersize=6, label="posterior mean")
        names = [str(value) for value in self.dependence.values]
        ax.set_xticks(places, [name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…" for name in names])
        if len(names) > ROTATED:
            plt.setp(ax.get_xticklabels(), rotation=35, ha="right")
        ax.set_xlim(-0.6, len(places) - 0.4)
        finish(ax, xlabel, ylabel, {})
