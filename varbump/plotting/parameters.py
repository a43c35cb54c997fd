"""Plot of the numbers of parameters, by kind and layer."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes

from varbump.plotting.style import BLUE, GREY, INK, ORANGE, check_shown, finish, new_axes

__all__ = ["ParameterDisplay"]


class ParameterDisplay:
    """Bars for each layer: weights, trainable parameters and, where known, the effective number; a line at N.

    Parameters
    ----------
    report : ParameterReport
        From `varbump.parameter_report`.

    Attributes
    ----------
    ax_, figure_ : the axes and figure last drawn on
    bars_ : dict of str to BarContainer
    line_ : Line2D or None
        The number of data points.
    """

    def __init__(self, report: Any) -> None:
        self.report = check_shown(report, "report", "varbump.parameter_report", "layers", "num_data")

    def plot(self, ax: Axes | None = None) -> ParameterDisplay:
        """Draw on `ax`, or on new axes, and return self."""
        ax = new_axes(ax)
        layers = self.report.layers
        kinds = {
            "trainable parameters": ([row.num_trainable for row in layers], GREY, ""),
            "weights": ([row.num_weights for row in layers], BLUE, ""),
        }
        if any(row.num_effective is not None for row in layers):
            effective = [max(row.num_effective or 0.0, 0.0) for row in layers]
            kinds["pinned down by the data (effective)"] = (effective, ORANGE, "///")
        self.bars_, height = {}, 0.8 / len(kinds)
        for index, (name, (values, color, hatch)) in enumerate(kinds.items()):
            at = [i - 0.4 + (index + 0.5) * height for i in range(len(layers))]
            self.bars_[name] = ax.barh(
                at, values, 0.9 * height, color=color, hatch=hatch, edgecolor="white", linewidth=0, label=name
            )
            ax.bar_label(self.bars_[name], [f"{value:,.0f}" for value in values], padding=3, fontsize=8)
        self.line_ = None
        if self.report.num_data:
            self.line_ = ax.axvline(
                self.report.num_data,
                color=INK,
                linestyle="--",
                linewidth=1,
                label=f"{self.report.num_data:,} data points",
            )
        ax.set(xscale="log", ylim=(len(layers) - 0.5, -0.5))
        low, high = ax.get_xlim()
        ax.set_xlim(min(low, 1.0), high * 2)  # room for the numbers
        ax.set_yticks(range(len(layers)), [row.name for row in layers])
        finish(ax, "count", None, {"loc": "lower center", "bbox_to_anchor": (0.45, 1.0), "ncols": 2, "fontsize": 9})
        self.ax_, self.figure_ = ax, ax.figure
        return self
