"""What a person sees while a network trains: one line, on a terminal only."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from varbump.core.temperature import temperature_label

__all__ = ["TrainingProgress"]


class TrainingProgress:
    """Context manager around the progress bar; silent unless `verbose` and standard output is a terminal."""

    def __init__(self, num_epochs: int, verbose: int, temperature: float = 1.0) -> None:
        console = Console()
        self._progress = Progress(
            TextColumn("epoch {task.completed:,.0f}/{task.total:,.0f}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[terms]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            console=console,
            disable=not (verbose and console.is_terminal),
        )
        self._label = temperature_label(temperature)
        self._task = self._progress.add_task("fit", total=num_epochs, terms="compiling")

    def __enter__(self) -> TrainingProgress:
        self._progress.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def update(self, num_finished: int, terms: dict[str, float], steps_per_second: float) -> None:
        """Show the state after `num_finished` epochs."""
        text = "  ".join(f"{name} {value:.4g}" for name, value in terms.items())
        text += f"  {steps_per_second:,.0f} steps/s{self._label}"
        self._progress.update(self._task, completed=num_finished, terms=text)
