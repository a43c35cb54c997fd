"""Widths of table columns that do not break words where the table can be made to fit otherwise."""

from __future__ import annotations

import copy

from rich import box
from rich.console import Console, ConsoleOptions
from rich.measure import Measurement
from rich.table import Table

__all__ = ["fitted"]


def fitted(table: Table, console: Console, options: ConsoleOptions) -> Table:
    """Return a table whose columns share the width of the console.

    Headings are wrapped first, then the words of cells, and if that is not enough the lines between columns go. Where
    even single words do not fit, rich breaks names and numbers; by itself it does so in the widest columns first.
    """
    wide = options.update(width=10_000)

    def ranges(cells: list) -> tuple[int, int]:
        each = [Measurement.get(console, wide, cell) for cell in cells] or [Measurement(0, 0)]
        return max(one.minimum for one in each), max(one.maximum for one in each)

    heads = [ranges([column.header]) for column in table.columns]
    bodies = [ranges([*column.cells]) for column in table.columns]
    widths = [max(head[1], body[1]) for head, body in zip(heads, bodies, strict=True)]
    wrapped = [max(head[0], body[1]) for head, body in zip(heads, bodies, strict=True)]
    words = [max(head[0], body[0]) for head, body in zip(heads, bodies, strict=True)]
    room, slim = options.max_width - 3 * len(widths) - 1, options.max_width - 2 * len(widths)
    if sum(widths) <= room or sum(words) > slim:
        return table
    made = copy.copy(table)
    if sum(words) > room:
        room, made.box, made.show_edge, made.pad_edge, made.padding = slim, box.SIMPLE_HEAD, False, False, (0, 1, 0, 0)
    for floor in (wrapped, words):
        slack = [width - least for width, least in zip(widths, floor, strict=True)]
        while sum(widths) > room and max(slack) > 0:
            index = slack.index(max(slack))
            widths[index], slack[index] = widths[index] - 1, slack[index] - 1
    made.columns = [copy.copy(column) for column in table.columns]
    for column, width in zip(made.columns, widths, strict=True):
        column.width, column.min_width = width, None
    return made
