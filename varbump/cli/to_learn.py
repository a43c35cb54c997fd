"""The table to learn from: which file, which columns, and its rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from varbump.cli.columns import Columns, Rows, choose, read_rows
from varbump.cli.features import Declared, check_declared
from varbump.cli.output_names import check_names_of_table
from varbump.cli.screen import Screen
from varbump.cli.standard_input import NAME, STANDARD, table_file
from varbump.cli.tables import Table, open_table

__all__ = ["ToLearn", "find_table"]


class ToLearn(NamedTuple):
    """A table whose columns have been chosen, but not read.

    Attributes
    ----------
    file : Path
        Where the rows are; a copy, if they came from standard input.
    table : Table
    columns : Columns
    declared : Declared
    drop_missing : bool
    """

    file: Path
    table: Table
    columns: Columns
    declared: Declared
    drop_missing: bool

    def read(self, screen: Screen) -> Rows:
        """Read all rows; a UserError says which cell cannot be."""
        with screen.waiting(f"reading {self.table.name}"):
            return read_rows(self.table, self.columns, self.declared, drop_missing=self.drop_missing)


def find_table(data: Path, targets: Sequence[str], features: str | None, options: dict[str, Any]) -> ToLearn:
    """Open the table that the options of `varbump.cli.options.of_table` speak of.

    Raises
    ------
    UserError
        If it cannot be opened, or a name is not that of a column or cannot be used.
    """
    file = click.get_current_context().with_resource(table_file(data))
    table = open_table(file, options["delimiter"], NAME if data == STANDARD else None)
    columns = choose(table, targets, _names(features))
    declared = Declared(_names(options["categorical"]), _names(options["numeric"]))
    check_declared(table, declared, columns.features)
    check_names_of_table(table.name, [*columns.features, *columns.targets], columns.targets)
    return ToLearn(file, table, columns, declared, options["drop_missing"])


def _names(option: str | None) -> list[str]:
    return [name.strip() for name in option.split(",")] if option is not None else []
