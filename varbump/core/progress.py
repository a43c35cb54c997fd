"""Progress bar of training and sampling, shown on terminals only."""

from __future__ import annotations

from types import TracebackType
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from varbump.core.temperature import temperature_label

__all__ = ["ProgressBar", "TrainingProgress"]

Bar = TypeVar("Bar", bound="ProgressBar")


class ProgressBar:
    """Context manager that shows a progress bar if `verbose` and standard output is a terminal.

    Parameters
    ----------
    total : int
        Number of units of work.
    unit : str
        Name of the unit, such as "epoch".
    verbose : int
        0 is silent.
    text : str, default=""
        Text behind the bar, until `show` changes it.
    """

    def __init__(self, total: int, *, unit: str, verbose: int, text: str = "") -> None:
        console = Console()
        self._progress = Progress(
            TextColumn("{task.description} {task.completed:,.0f}/{task.total:,.0f}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[text]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            console=console,
            disable=not (verbose and console.is_terminal),
        )
        self._task = self._progress.add_task(unit, total=total, text=text)

    def __enter__(self: Bar) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def show(self, num_finished: int, text: str) -> None:
        """Show the state after `num_finished` units."""
        self._progress.update(self._task, completed=num_finished, text=text)

    def advance(self, num: int) -> None:
        """Count `num` more units as finished."""
        self._progress.advance(self._task, num)


class TrainingProgress(ProgressBar):
    """Progress bar of a training run, with the terms of the loss."""

    def __init__(self, num_epochs: int, verbose: int, temperature: float = 1.0) -> None:
        super().__init__(num_epochs, unit="epoch", verbose=verbose, text="compiling")
        self._label = temperature_label(temperature)

    def update(self, num_finished: int, terms: dict[str, float], steps_per_second: float) -> None:
        """Show the state after `num_finished` epochs."""
        values = "  ".join(f"{name} {value:.4g}" for name, value in terms.items())
        self.show(num_finished, f"{values}  {steps_per_second:,.0f} steps/s{self._label}")
