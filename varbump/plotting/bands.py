"""A mean with bands around it, and functions drawn from the posterior."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from varbump.plotting.style import BLUE, GREY, ORANGE, finish, level_label, new_axes
from varbump.tempering import temperature_label

__all__ = ["BandsDisplay", "FunctionsDisplay"]


class BandsDisplay:
    """Bands of one output along one input.

    Wide bands are drawn as light areas with an edge line of a style of their own for each level, so that they stay
    apart without colour.

    Parameters
    ----------
    x : array-like (N,) or (N, 1)
        Input at which the bands were computed; sorted for drawing.
    bands : Bands
        From `varbump.credible_bands`.
    kind : str, default="epistemic"
        What the draws contained, for the labels: "epistemic" (`predict_f`) or "predictive" (`predict_y`).
    output : int, default=0
        Which column of y.

    Attributes
    ----------
    ax_, figure_ : the axes and figure last drawn on
    line_, areas_ : artists of the mean and, by level, of the bands
    """

    def __init__(self, x: Any, bands: Any, *, kind: str = "epistemic", output: int = 0) -> None:
        if kind not in ("epistemic", "predictive"):
            raise ValueError(f"kind must be 'epistemic' or 'predictive', got {kind!r}")
        x = np.asarray(x)
        if x.ndim == 2 and x.shape[1] == 1:
            x = x[:, 0]
        if x.ndim != 1 or len(x) != len(bands.mean):
            raise ValueError(f"x must be one input of {len(bands.mean)} rows, the rows of bands; got shape {x.shape}")
        self.x, self.bands, self.kind, self.output = x, bands, kind, output

    def plot(
        self,
        ax: Axes | None = None,
        *,
        mean: bool = True,
        color: str | None = None,
        xlabel: str = "x",
        ylabel: str = "y",
    ) -> BandsDisplay:
        """Draw on `ax`, or on new axes, and return self."""
        ax = new_axes(ax)
        predictive = self.kind == "predictive"
        color = color or (ORANGE if predictive else BLUE)
        order = np.argsort(self.x, kind="stable")
        x = self.x[order]
        self.areas_: dict[float, Artist] = {}
        levels = sorted(self.bands.lower, reverse=True)
        for rank, level in enumerate(levels):
            lower = self.bands.lower[level][order, self.output]
            upper = self.bands.upper[level][order, self.output]
            alpha = 0.10 if predictive else 0.18 + 0.22 * rank
            style = (":" if predictive else "--") if rank == 0 else "-"
            label = level_label(level, self.kind) + temperature_label(self.bands.temperature)
            self.areas_[level] = ax.fill_between(x, lower, upper, color=color, alpha=alpha, linewidth=0, label=label)
            for edge in (lower, upper):
                ax.plot(x, edge, color=color, linestyle=style, linewidth=0.8, alpha=0.9)
        self.line_ = None
        if mean:
            label = f"{'predictive' if predictive else 'posterior'} mean"
            (self.line_,) = ax.plot(x, self.bands.mean[order, self.output], color=color, linewidth=1.8, label=label)
        finish(ax, xlabel, ylabel, {})
        self.ax_, self.figure_ = ax, ax.figure
        return self


class FunctionsDisplay:
    """Functions drawn from the posterior, one thin line each ("spaghetti").

    Parameters
    ----------
    x : array-like (N,) or (N, 1)
        Input, sorted for drawing.
    draws : array-like (S, N, Q)
        From `varbump.predict_f`.
    output : int, default=0
        Which column of y.
    """

    def __init__(self, x: Any, draws: Any, *, output: int = 0) -> None:
        self.x, self.draws, self.output = np.asarray(x).reshape(-1), np.asarray(draws), output
        if self.draws.ndim != 3 or self.draws.shape[1] != len(self.x):
            raise ValueError(f"draws must have shape (S, {len(self.x)}, Q), got {self.draws.shape}")

    def plot(
        self, ax: Axes | None = None, *, color: str = GREY, xlabel: str = "x", ylabel: str = "y"
    ) -> FunctionsDisplay:
        """Draw on `ax`, or on new axes, and return self."""
        ax = new_axes(ax)
        order = np.argsort(self.x, kind="stable")
        self.lines_ = ax.plot(
            self.x[order], self.draws[:, order, self.output].T, color=color, linewidth=0.4, alpha=0.5, zorder=1
        )
        self.lines_[0].set_label(f"{len(self.draws)} posterior functions")
        finish(ax, xlabel, ylabel, {})
        self.ax_, self.figure_ = ax, ax.figure
        return self
