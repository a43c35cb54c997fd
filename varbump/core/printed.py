"""Printing of reports with rich: on terminals, in notebooks as small tables, and in one line."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Mapping
from typing import Any

import numpy as np
import rich.table
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from varbump.core.widths import fitted

__all__ = ["Printed", "Short", "Table"]

WIDTH = 100

MOST = 60
"""Characters of a field in a `repr`."""

CELL = "text-align: {align}; padding: 0 0.8em"


class Short:
    """Mixin for data classes with ``repr=False``: a `repr` of one line, however large their arrays are."""

    def __repr__(self) -> str:
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        return f"{type(self).__name__}({', '.join(f'{f.name}={_short(getattr(self, f.name))}' for f in fields)})"


class Printed(Short):
    """Mixin that makes `str` of a report its `__rich_console__` output at 100 columns, without colour.

    Notebooks show the same as HTML.
    """

    def __rich_console__(self, console: Console, options: Any) -> Any:
        """Yield tables and sentences."""
        raise NotImplementedError

    def __str__(self) -> str:
        console = _console()
        with console.capture() as capture:
            console.print(self)
        return capture.get().rstrip()

    def _repr_html_(self) -> str:
        console = _console()
        parts = [_html(part, console) for part in self.__rich_console__(console, console.options)]
        return f"<div>{''.join(parts)}</div>"


class Table(rich.table.Table):
    """A table that breaks words and numbers only if nothing else makes it fit, and never truncates them."""

    def add_column(self, *args: Any, **options: Any) -> None:
        """As `rich.table.Table.add_column`."""
        super().add_column(*args, **{"overflow": "fold", **options})

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from rich.table.Table.__rich_console__(fitted(self, console, options), console, options)


def _console() -> Console:
    return Console(width=WIDTH, force_terminal=False, force_jupyter=False, no_color=True)


def _html(part: Any, console: Console) -> str:
    """A table as a table, and everything else as a paragraph of its text, escaped."""
    if isinstance(part, rich.table.Table):
        return _html_table(part)
    with console.capture() as capture:
        console.print(part, soft_wrap=isinstance(part, str))
    text = capture.get().strip()
    if not text:
        return ""
    return f"<p>{html.escape(text)}</p>" if isinstance(part, str) else f"<pre>{html.escape(text)}</pre>"


def _html_table(table: rich.table.Table) -> str:
    aligns = ["right" if column.justify == "right" else "left" for column in table.columns]

    def row(cells: Any, tag: str) -> str:
        made = (
            f'<{tag} style="{CELL.format(align=align)}">{_plain(cell)}</{tag}>'
            for cell, align in zip(cells, aligns, strict=True)
        )
        return f"<tr>{''.join(made)}</tr>"

    title = f'<caption style="text-align: left">{_plain(table.title)}</caption>' if table.title else ""
    head = row((column.header for column in table.columns), "th") if table.show_header else ""
    body = "".join(row(cells, "td") for cells in zip(*(column.cells for column in table.columns), strict=True))
    return f"<table>{title}<thead>{head}</thead><tbody>{body}</tbody></table>"


def _plain(cell: Any) -> str:
    """Text of a cell without rich's markup, escaped."""
    text = Text.from_markup(cell).plain if isinstance(cell, str) else str(cell)
    return html.escape(text)


def _short(value: Any) -> str:
    """One line for a field: sizes instead of contents where these are long."""
    if isinstance(value, np.ndarray) and value.size > 4:
        return f"<{value.dtype} array of shape {value.shape}>"
    if isinstance(value, (list, tuple, Mapping)):
        if len(value) > 4 or any(isinstance(entry, (list, tuple, Mapping, np.ndarray)) for entry in _entries(value)):
            return f"<{type(value).__name__} of {len(value):,}>"
        if any(dataclasses.is_dataclass(entry) for entry in _entries(value)):
            return f"<{type(value).__name__} of {len(value):,}>"
    text = " ".join(repr(value).split())
    return text if len(text) <= MOST else f"<{type(value).__name__}>"


def _entries(value: Any) -> Any:
    return value.values() if isinstance(value, Mapping) else value
