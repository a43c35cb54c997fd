"""Plot of the gradients of all weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from varbump.plotting.style import BLUE, GREY, ORANGE, check_shown, finish, new_axes

__all__ = ["GradientDisplay"]

STATUS = {
    "ok": ("o", BLUE, "ok"),
    "exploding": ("^", ORANGE, "exploding"),
    "zero": ("s", ORANGE, "all zero"),
    "non-finite": ("X", ORANGE, "nan or infinite"),
    "missing": ("x", ORANGE, "missing"),
}


class GradientDisplay:
    """Norm of the gradient of each weight, from the input at the top; those without one are at the left edge.

    Parameters
    ----------
    report : GradientReport
        From `varbump.check_gradients`.

    Attributes
    ----------
    ax_, figure_ : the axes and figure last drawn on
    points_ : dict of str to Line2D
        Points by status.
    """

    def __init__(self, report: Any) -> None:
        self.report = check_shown(report, "report", "varbump.check_gradients", "weights", "exploding")

    def plot(self, ax: Axes | None = None) -> GradientDisplay:
        """Draw on `ax`, or on new axes, and return self."""
        ax = new_axes(ax)
        rows = self.report.weights
        shown = [row.norm if row.norm and np.isfinite(row.norm) else None for row in rows]
        known = [norm for norm in shown if norm is not None] or [1.0]
        edge = 10.0 ** (np.floor(np.log10(min(known))) - 1)
        self.points_ = {}
        for status, (marker, color, label) in STATUS.items():
            at = [i for i, row in enumerate(rows) if row.status == status]
            if at:
                values = [float(shown[i] or edge) for i in at]
                (self.points_[status],) = ax.plot(
                    values, at, marker, color=color, markersize=8, markeredgewidth=1.8, linestyle="none", label=label
                )
        for i, norm in enumerate(shown):
            ax.plot([edge, edge if norm is None else norm], [i, i], color=GREY, linewidth=0.8, zorder=1)
        if max(known) > self.report.exploding / 100:
            ax.axvline(self.report.exploding, color=GREY, linestyle=":", linewidth=1.2)
        ax.set(xscale="log", xlim=(edge / 1.6, None), ylim=(max(len(rows), 1) - 0.5, -0.5))
        first, last = round(np.log10(edge)) + 1, int(np.ceil(np.log10(max(known))))
        decades = range(first, max(last, first + 1) + 1, 1 + (last - first) // 6)
        ax.set_xticks([edge, *(10.0**k for k in decades)], ["none", *(f"$10^{{{k}}}$" for k in decades)])
        ax.minorticks_off()
        ax.set_yticks(range(len(rows)), [f"{row.layer}, {row.weight}" for row in rows])
        legend = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": len(self.points_)}
        finish(ax, "norm of the gradient", None, legend)
        self.ax_, self.figure_ = ax, ax.figure
        return self
