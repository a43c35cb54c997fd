"""Reports print as rich renders them, also where there is no terminal."""

from __future__ import annotations

from rich.console import Console

__all__ = ["Printed"]


class Printed:
    """Mixin: `str` of a report is what its `__rich_console__` gives at 100 columns, without colour."""

    def __str__(self) -> str:
        console = Console(width=100, force_terminal=False, no_color=True)
        with console.capture() as capture:
            console.print(self)
        return capture.get().rstrip()
