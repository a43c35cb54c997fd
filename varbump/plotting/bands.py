"""Plots of a mean with bands, and of functions drawn from the posterior."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection

from varbump.core.kinds import common_kind
from varbump.core.temperature import temperature_label
from varbump.plotting.style import BLUE, GREY, ORANGE, check_shown, finish, level_label, new_axes, of_draws

__all__ = ["BandsDisplay", "FunctionsDisplay"]

DRAWN = {
    None: "functions",
    "epistemic": "posterior functions",
    "prior": "prior functions",
    "predictive": "draws of y",
    "prior predictive": "draws of y from the prior",
}
"""Names of draws by kind."""


class BandsDisplay:
    """Bands of one output along one input, or along one of several.

    Bands are light areas whose edges have a line style for each level, so that they can be told apart without colour.

    Parameters
    ----------
    x : array-like (N,) or (N, D)
        Inputs at which the bands were computed, for instance those of `varbump.slice_along`; sorted for drawing.
    bands : Bands
        From `varbump.credible_bands`.
    kind : {"epistemic", "predictive", "prior", "prior predictive"}, optional
        Kind of the draws, for the labels, if the bands do not know it.
    output : int, default=0
        Column of y.
    feature : int, default=0
        Column of x to plot along.

    Attributes
    ----------
    ax_, figure_ : the axes and figure last drawn on
    line_, areas_ : artists of the mean and, by level, of the bands
    """

    def __init__(self, x: Any, bands: Any, *, kind: str | None = None, output: int = 0, feature: int = 0) -> None:
        check_shown(bands, "bands", "varbump.predict_bands", "mean", "lower", "upper")
        self.kind = common_kind(kind, getattr(bands, "kind", None), "these bands")
        _check_output(output, bands.mean.shape[-1])
        self.x, self.bands, self.output = _column(x, feature, len(bands.mean), "bands"), bands, output

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
        predictive = self.kind in ("predictive", "prior predictive")
        color = color or (ORANGE if predictive else BLUE)
        order = np.argsort(self.x, kind="stable")
        x = self.x[order]
        self.areas_: dict[float, Artist] = {}
        levels, clear = sorted(self.bands.lower, reverse=True), 1.0
        for rank, level in enumerate(levels):
            lower = self.bands.lower[level][order, self.output]
            upper = self.bands.upper[level][order, self.output]
            alpha = 0.10 + 0.14 * rank if predictive else 0.18 + 0.22 * rank
            style = (":" if predictive else "--") if rank == 0 else "-"
            label = level_label(level, self.kind) + temperature_label(self.bands.temperature)
            self.areas_[level] = ax.fill_between(x, lower, upper, color=color, alpha=alpha, linewidth=0)
            clear *= 1.0 - alpha  # areas lie on top of each other, and the legend shows them as they are seen
            look: dict[str, Any] = {
                "facecolor": (color, 1.0 - clear),
                "edgecolor": color,
                "linestyle": style,
                "linewidth": 0.8,
            }
            ax.add_collection(PolyCollection([], label=label, **look), autolim=False)
            for edge in (lower, upper):
                ax.plot(x, edge, color=color, linestyle=style, linewidth=0.8, alpha=0.9)
        self.line_ = None
        if mean:
            label = of_draws(self.kind, "mean")
            (self.line_,) = ax.plot(x, self.bands.mean[order, self.output], color=color, linewidth=1.8, label=label)
        finish(ax, xlabel, ylabel, {})
        self.ax_, self.figure_ = ax, ax.figure
        return self


class FunctionsDisplay:
    """Functions drawn from the posterior or the prior, one thin line each ("spaghetti").

    Parameters
    ----------
    x : array-like (N,) or (N, D)
        Inputs, sorted for drawing.
    draws : array-like (S, N, Q)
        From `varbump.predict_f`. The label says what they are draws of, if they know it.
    output : int, default=0
        Column of y.
    feature : int, default=0
        Column of x to plot along.
    """

    def __init__(self, x: Any, draws: Any, *, output: int = 0, feature: int = 0) -> None:
        self.draws, self.output = np.asarray(draws), output
        self._name = DRAWN[getattr(draws, "kind", None)]
        num_rows = len(np.atleast_1d(np.asarray(x)))
        if self.draws.ndim != 3 or self.draws.shape[1] != num_rows:
            raise ValueError(f"draws must have shape (S, {num_rows}, Q), got {self.draws.shape}")
        if not len(self.draws):
            raise ValueError("draws holds no function to draw")
        _check_output(output, self.draws.shape[-1])
        self.x = _column(x, feature, self.draws.shape[1], "draws")

    def plot(
        self, ax: Axes | None = None, *, color: str = GREY, xlabel: str = "x", ylabel: str = "y"
    ) -> FunctionsDisplay:
        """Draw on `ax`, or on new axes, and return self."""
        ax = new_axes(ax)
        order = np.argsort(self.x, kind="stable")
        self.lines_ = ax.plot(
            self.x[order], self.draws[:, order, self.output].T, color=color, linewidth=0.4, alpha=0.5, zorder=1
        )
        self.lines_[0].set_label(f"{len(self.draws)} {self._name}")
        finish(ax, xlabel, ylabel, {})
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _is_index(value: Any, size: int) -> bool:
    return bool(isinstance(value, (int, np.integer)) and not isinstance(value, bool) and 0 <= value < size)


def _check_output(output: Any, num_outputs: int) -> None:
    if not _is_index(output, num_outputs):
        raise ValueError(f"output must be a column of y, from 0 to {num_outputs - 1}, got {output!r}")


def _column(x: Any, feature: int, num_rows: int, what: str) -> np.ndarray:
    """Return the column of x to plot along; a ValueError if others vary too."""
    x = np.asarray(x)
    x = x[:, None] if x.ndim == 1 else x
    if x.ndim != 2 or len(x) != num_rows:
        raise ValueError(f"x must have the {num_rows} rows of {what}; got shape {x.shape}")
    if not _is_index(feature, x.shape[1]):
        raise ValueError(f"feature must be a column of x, from 0 to {x.shape[1] - 1}, got {feature!r}")
    if not (x == x[:1]).all(axis=0)[np.arange(x.shape[1]) != feature].all():
        raise ValueError(
            f"x varies in other columns than feature {feature}, so there is no curve to draw: predict at the rows of "
            f"varbump.slice_along(x, {feature})"
        )
    return x[:, feature]
