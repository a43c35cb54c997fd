"""Common style: colours that colour-blind readers can tell apart, axes, labels and legends."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

__all__ = ["BLUE", "GREY", "INK", "ORANGE", "check_shown", "finish", "level_label", "new_axes", "of_draws"]

# Okabe and Ito (2008), "Color Universal Design".
BLUE, ORANGE, GREY, INK = "#0072B2", "#D55E00", "#8C8C8C", "#202020"


def new_axes(ax: Axes | None) -> Axes:
    """Return `ax`, or new axes of the width of a page if it is None; a TypeError for anything else."""
    if ax is not None and not isinstance(ax, Axes):
        raise TypeError(f"ax must be axes of Matplotlib, got {type(ax).__name__}")
    if ax is None:
        _, ax = plt.subplots(figsize=(7.2, 4.2), layout="constrained")
    return ax


def check_shown(value: Any, argument: str, made_by: str, *attributes: str) -> Any:
    """Return `value` if it has these attributes, or raise a TypeError that says which function returns one."""
    if isinstance(value, type) or not all(hasattr(value, name) for name in attributes):
        raise TypeError(f"{argument} must be what {made_by} returns, got {type(value).__name__}")
    return value


def level_label(level: float, kind: str | None) -> str:
    """Return a label such as "95 % epistemic"; the level and kind are those of the bands, never constants."""
    return f"{100 * level:.4g} % {'of the draws' if kind is None else kind}"


def of_draws(kind: str | None, what: str) -> str:
    """Return `what` with the distribution that it belongs to, such as "posterior mean" or "predictive mean"."""
    return f"{'posterior' if kind == 'epistemic' else kind} {what}" if kind else f"{what} of the draws"


def finish(ax: Axes, xlabel: str | None, ylabel: str | None, legend: dict[str, Any] | None = None) -> None:
    """Add labels and a legend, and lighten the frame."""
    if xlabel:
        ax.set_xlabel(xlabel)
    if ylabel:
        ax.set_ylabel(ylabel)
    ax.spines[["top", "right"]].set_visible(False)
    if legend is not None and ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False, **legend)
