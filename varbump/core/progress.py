"""Progress of training and sampling: a bar on terminals, a line in notebooks, nothing elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from varbump.core.temperature import temperature_label

__all__ = ["ProgressBar", "TrainingProgress", "together"]

Bar = TypeVar("Bar", bound="ProgressBar")

_group: ContextVar[Progress | None] = ContextVar("varbump_bars", default=None)

PAUSE = 0.5
"""Seconds between two states of the line in a notebook, each of which the browser has to draw."""


class ProgressBar:
    """Context manager that shows a progress bar if `verbose` and standard output is a terminal or a notebook.

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
        group = _group.get()
        self._line = _Line(total, unit) if verbose and _in_notebook() and not (group and group.tasks) else None
        self._is_alone = group is None
        self._progress = _progress(verbose) if group is None else group
        self._task = self._progress.add_task(unit, total=total, text=text)

    def __enter__(self: Bar) -> Bar:
        if self._is_alone:
            self._progress.start()
        self._write()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._is_alone:
            self._progress.stop()
        if self._line is not None:
            self._write(last=True)

    def show(self, num_finished: int, text: str, total: int | None = None) -> None:
        """Show the state after `num_finished` units, of `total` if that has changed."""
        self._progress.update(self._task, completed=num_finished, text=text, total=total)
        if total is not None and self._line is not None:
            self._line.total = total
        self._write()

    def advance(self, num: int) -> None:
        """Count `num` more units as finished."""
        self._progress.advance(self._task, num)
        self._write()

    def _write(self, last: bool = False) -> None:
        if self._line is not None:
            task = self._progress.tasks[self._task]
            self._line.write(int(task.completed), str(task.fields["text"]), last)


@contextmanager
def together(verbose: int) -> Iterator[None]:
    """Show the bars of several threads below each other on terminals, and the first of them in notebooks."""
    with _progress(verbose) as progress:
        token = _group.set(progress)
        try:
            yield
        finally:
            _group.reset(token)


def _progress(verbose: int) -> Progress:
    console = Console()
    return Progress(
        TextColumn("{task.description} {task.completed:,.0f}/{task.total:,.0f}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[text]}"),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
        console=console,
        disable=not (verbose and console.is_terminal and not _in_notebook()),
    )


class TrainingProgress(ProgressBar):
    """Progress bar of a training run, with the terms of the loss."""

    def __init__(self, num_epochs: int, verbose: int, temperature: float = 1.0, unit: str = "epoch") -> None:
        super().__init__(num_epochs, unit=unit, verbose=verbose, text="compiling")
        self._label = temperature_label(temperature)

    def update(
        self, num_finished: int, terms: dict[str, float], steps_per_second: float, num_epochs: int | None = None
    ) -> None:
        """Show the state after `num_finished` epochs or other units, of `num_epochs` if that has changed."""
        values = "  ".join(f"{name} {value:.4g}" for name, value in terms.items())
        self.show(num_finished, f"{values}  {steps_per_second:,.0f} steps/s{self._label}", num_epochs)


class _Line:
    """A line of a notebook that is written over itself, and ends with its last state."""

    def __init__(self, total: int, unit: str) -> None:
        self.total, self._unit, self._began = total, unit, time.monotonic()
        self._next, self._length = 0.0, 0

    def write(self, completed: int, text: str, last: bool) -> None:
        now = time.monotonic()
        if now < self._next and not last:
            return
        self._next = now + PAUSE
        left = ""
        if 0 < completed < self.total:
            seconds = (now - self._began) * (self.total - completed) / completed
            left = f"  {seconds:,.0f} s left"
        line = f"{self._unit} {completed:,}/{self.total:,}  {text}{left}"
        sys.stdout.write("\r" + line.ljust(self._length) + ("\n" if last else ""))
        sys.stdout.flush()
        self._length = len(line)


def _in_notebook() -> bool:
    """Whether this is the kernel of a notebook; IPython is asked only if it is running."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell = get_ipython() if callable(get_ipython) else None
    return any(cls.__name__ == "ZMQInteractiveShell" for cls in type(shell).__mro__)
