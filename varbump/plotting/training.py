"""Plot of the loss over the epochs."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes

from varbump.core.temperature import temperature_label
from varbump.plotting.style import BLUE, GREY, ORANGE, check_shown, finish, new_axes

__all__ = ["TrainingDisplay"]


class TrainingDisplay:
    """Loss, with its likelihood and KL parts, over the epochs.

    Parameters
    ----------
    history : History
        From `varbump.fit`.

    Attributes
    ----------
    ax_, figure_ : the axes and figure last drawn on
    lines_ : dict of str to Line2D
    """

    def __init__(self, history: Any) -> None:
        self.history = check_shown(history, "history", "varbump.fit", "history", "num_data")
        if not history.history.get("loss"):
            raise ValueError("history has no finished epoch to draw")

    def plot(self, ax: Axes | None = None, *, log: bool = False) -> TrainingDisplay:
        """Draw on `ax`, or on new axes, and return self; `log` asks for a log axis, if all values are positive."""
        ax = new_axes(ax)
        columns = self.history.history
        epochs = range(1, len(columns["loss"]) + 1)
        kl_share = [kl / self.history.num_data for kl in columns["kl"]]
        curves = {
            "loss": (columns["loss"], BLUE, "-"),
            "nll": (columns["nll"], ORANGE, "--"),
            "KL / N": (kl_share, GREY, ":"),
        }
        if "val_loss" in columns:
            curves["validation loss"] = (columns["val_loss"], BLUE, "-.")
        self.lines_ = {}
        for name, (values, color, style) in curves.items():
            (self.lines_[name],) = ax.plot(epochs, values, color=color, linestyle=style, linewidth=1.2, label=name)
        if log and min(min(values) for values, _, _ in curves.values()) > 0:
            ax.set_yscale("log")
        finish(ax, "epoch", f"nats per observation{temperature_label(self.history.temperature)}", {})
        self.ax_, self.figure_ = ax, ax.figure
        return self
