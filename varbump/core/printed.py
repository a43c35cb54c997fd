"""Printing of reports, with rich, on terminals and elsewhere."""

from __future__ import annotations

from typing import Any

import rich.table
from rich.console import Console, ConsoleOptions, RenderResult

from varbump.core.widths import fitted

__all__ = ["Printed", "Table"]


class Printed:
    """Mixin that makes `str` of a report its `__rich_console__` output at 100 columns, without colour."""

    def __str__(self) -> str:
        console = Console(width=100, force_terminal=False, no_color=True)
        with console.capture() as capture:
            console.print(self)
        return capture.get().rstrip()


class Table(rich.table.Table):
    """A table that breaks words and numbers only if nothing else makes it fit, and never truncates them."""

    def add_column(self, *args: Any, **options: Any) -> None:
        """As `rich.table.Table.add_column`."""
        super().add_column(*args, **{"overflow": "fold", **options})

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from rich.table.Table.__rich_console__(fitted(self, console, options), console, options)
