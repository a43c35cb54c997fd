"""Record of a training run, epoch by epoch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tensorflow as tf
from rich.console import Console
from rich.markup import escape

from varbump.core.printed import Printed, Table

__all__ = ["History"]


@dataclass(repr=False)
class History(Printed):
    """Record of a training run, returned by `varbump.fit`.

    Attributes
    ----------
    history : dict of str to list of float
        One value per finished epoch: "loss" (nats per observation, the negative ELBO at KL weight 1, whatever the
        weight in that epoch), "nll" (nats per observation, averaged over the steps), and as of the end of the epoch
        "kl" (nats), "kl_weight" and, with the built-in Adam, "learning_rate". With validation data also "val_loss"
        and "val_nll".
    num_data : int
        N, the number of training rows.
    steps_per_epoch : int
    seconds, timed_steps : float, int
        Wall time of the compiled calls, excluding compilation, and the number of steps in them.
    temperature : float
        KL weight after the warm-up; if it is not 1, the result does not approximate the Bayesian posterior.
    stopped : str or None
        None if all epochs ran, otherwise the reason: "interrupted" or "patience".
    best_epoch : int or None
        Index of the epoch whose weights were restored, if `patience` was given.
    estimated_kl : tuple of str
        Names of the layers without a closed form of the KL, which is then estimated by log q(w) - log p(w) of one draw
        in every step: unbiased, but noisy, and "kl" and "loss" with it; "kl" may even be negative.
    exact : bool
        Whether the optimum was computed in closed form, see `varbump.fit`; epochs are then iterations.
    converged : bool or None
        Whether the run had settled before its learning rate fell: another doubling of its length would have improved
        the loss by less than 0.01 nats per observation, and moved the KL by less than 0.02 nats per weight. None for
        runs of a given length, which are not checked.
    gain : float or None
        Improvement of the loss in the last doubling of the length at the last check, nats per observation.
    """

    history: dict[str, list[float]] = field(default_factory=dict)
    num_data: int = 0
    steps_per_epoch: int = 0
    seconds: float = 0.0
    timed_steps: int = 0
    temperature: float = 1.0
    stopped: str | None = None
    best_epoch: int | None = None
    estimated_kl: tuple[str, ...] = ()
    exact: bool = False
    converged: bool | None = None
    gain: float | None = None

    def __repr__(self) -> str:
        columns = ", ".join(f"{name} {values[-1]:.4g}" for name, values in self.history.items() if values)
        stopped = f", stopped: {self.stopped}" if self.stopped else ""
        if self.converged is not None and self.gain is not None:
            state = "converged" if self.converged else "not converged"
            stopped += f", {state}: the last doubling gained {self.gain:.2g} nats per observation"
        if self.exact:
            return f"History of an exact solution, {len(self.epoch):,} iterations{stopped}; the last: {columns}"
        estimated = f"; KL by Monte Carlo in {', '.join(self.estimated_kl)}" if self.estimated_kl else ""
        return (
            f"History of {len(self.epoch):,} epochs of {self.steps_per_epoch:,} steps{stopped}; the last: {columns}"
            f"{estimated}"
        )

    @property
    def kl_is_exact(self) -> bool:
        """Whether the KL of all layers was computed in closed form."""
        return not self.estimated_kl

    __str__ = __repr__

    def __rich_console__(self, console: Console, options: Any) -> Any:
        yield escape(repr(self).partition("; the last")[0]) + "."
        table = Table()
        table.add_column("")
        for column in ("first", "lowest", "last"):
            table.add_column(column, justify="right")
        for name, values in self.history.items():
            if values:
                table.add_row(escape(name), *(f"{value:.4g}" for value in (values[0], min(values), values[-1])))
        yield table

    @property
    def steps_per_second(self) -> float:
        """Training speed in steps per second; 0 if nothing was timed."""
        return self.timed_steps / self.seconds if self.seconds else 0.0

    @property
    def epoch(self) -> list[int]:
        """Indices of the finished epochs, as in Keras."""
        return list(range(len(self.history.get("loss", []))))

    def to_tensorboard(self, folder: str | Path) -> None:
        """Write every column as TensorBoard scalars, one value per epoch.

        Raises
        ------
        ImportError
            If TensorBoard is missing; install it with ``pip install "varbump[tensorboard]"``.
        """
        if not hasattr(tf.summary, "scalar"):
            raise ImportError('TensorBoard is not installed: pip install "varbump[tensorboard]"')
        writer = tf.summary.create_file_writer(str(folder))
        with writer.as_default():
            for name, values in self.history.items():
                for epoch, value in enumerate(values):
                    tf.summary.scalar(f"epoch_{name}", value, step=epoch)
        writer.close()

    def last(self, *names: str) -> dict[str, float]:
        """Values of the last finished epoch."""
        return {name: self.history[name][-1] for name in names if self.history.get(name)}
