"""Plot of what the weights have learned."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from varbump.plotting.style import BLUE, GREY, INK, ORANGE, check_shown, finish, new_axes

__all__ = ["WeightsDisplay"]

GREEN, PINK = "#009E73", "#CC79A7"  # Okabe and Ito (2008)
STYLES = [("o", BLUE), ("^", ORANGE), ("s", GREEN), ("D", PINK), ("v", GREY), ("P", INK)]


class WeightsDisplay:
    """Sd of each weight under q against the magnitude of its mean; the dashed line is the prior.

    Weights on the dashed line at the left have learned nothing; below the line the data have narrowed them; right of
    the dotted diagonal, where abs(mean) = sd, their sign is known.

    Parameters
    ----------
    summary : WeightSummary
        From `varbump.weight_summary`.

    Attributes
    ----------
    ax_, figure_ : the axes and figure last drawn on
    points_ : dict of str to Line2D
        Points by layer.
    priors_ : list of Line2D
    """

    def __init__(self, summary: Any) -> None:
        self.summary = check_shown(summary, "summary", "varbump.weight_summary", "layers")
        for layer in summary.layers:
            if not (np.isfinite(layer.mean).all() and np.isfinite(layer.sd).all()):
                raise ValueError(f"summary has weights that are nan or infinite, in layer {layer.name!r}")

    def plot(self, ax: Axes | None = None) -> WeightsDisplay:
        """Draw on `ax`, or on new axes, and return self."""
        ax = new_axes(ax)
        layers = self.summary.layers
        self.points_ = {}
        for index, layer in enumerate(layers):
            marker, color = STYLES[index % len(STYLES)]
            style: dict[str, Any] = {
                "color": color,
                "markersize": 4.5,
                "alpha": 0.65,
                "markeredgewidth": 0,
                "linestyle": "none",
            }
            (self.points_[layer.name],) = ax.plot(
                np.abs(layer.mean), layer.sd, marker, label=f"{layer.name}, {len(layer.mean):,} weights", **style
            )
        ax.set(xscale="log", yscale="log")
        means = np.concatenate([np.abs(layer.mean) for layer in layers])
        low = max(float(np.min(means[means > 0], initial=1.0)), 1e-4)
        high = 2 * float(np.max(means))
        ax.set_xlim(low / 1.5, high)
        scales = sorted({float(f"{value:.6g}") for layer in layers for value in layer.prior_sd if np.isfinite(value)})
        shown = scales if len(scales) <= 6 else [scales[0], scales[-1]]
        label = "sd of the prior" if len(scales) <= 6 else "smallest and largest sd of the prior"
        self.priors_ = [
            ax.axhline(scale, color=INK, linestyle="--", linewidth=1, label=label if index == 0 else None)
            for index, scale in enumerate(shown)
        ]
        bottom, top = ax.get_ylim()
        ax.plot([1e-6, 1e6], [1e-6, 1e6], ":", color=GREY, linewidth=1, label="|mean| = sd")
        ax.set_ylim(bottom, max([top, *(1.6 * scale for scale in shown[-1:])]))
        legend = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": 2, "fontsize": 9}
        finish(ax, "|mean| of a weight", "sd of a weight", legend)
        self.ax_, self.figure_ = ax, ax.figure
        return self
