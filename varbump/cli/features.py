"""The features of a table: each read as what it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from varbump.cli.contents import as_kind, is_word, kind_of_text
from varbump.cli.errors import UserError
from varbump.cli.frame import CATEGORY, NUMBER, rows_of
from varbump.cli.tables import Table

__all__ = ["Declared", "check_declared", "read_as", "read_features", "rows_in_chunks"]


class Declared(NamedTuple):
    """Names of features whose kind the caller decides."""

    categorical: Sequence[str] = ()
    numeric: Sequence[str] = ()


def check_declared(table: Table, declared: Declared, features: Sequence[str]) -> None:
    """Raise a UserError unless the names are features of the table, and each is declared once."""
    for names, option in ((declared.categorical, "--categorical"), (declared.numeric, "--numeric")):
        table.require(names, f" ({option})")
        others = [name for name in names if name not in features]
        if others:
            raise UserError(f"{option} names column {others[0]!r}, which is no feature")
    both = [name for name in declared.categorical if name in declared.numeric]
    if both:
        raise UserError(f"column {both[0]!r} is named by --categorical and by --numeric; leave out one of them")


def read_features(table: Table, names: Sequence[str], declared: Declared) -> dict[str, np.ndarray]:
    """Read all rows of the columns, each as a number, date or category, by its content or as declared.

    Raises
    ------
    UserError
        If a cell of a column of numbers or dates is something else, or there are no rows.
    """
    numbers: dict[str, list[np.ndarray]] = {name: [] for name in names if name not in declared.categorical}
    rows, row = 0, table.first_row
    for batch in table.batches(list(names)):
        for name in list(numbers):
            try:
                numbers[name].append(as_kind(batch.column(name), NUMBER, name, row, table.name))
            except UserError:
                if name in declared.numeric or not is_word(batch.column(name).type):
                    raise
                del numbers[name]
        rows, row = rows + batch.num_rows, row + batch.num_rows
    if not rows:
        raise UserError(f"{table.name} has no rows, only a header")
    others = [name for name in names if name not in numbers]
    texts = _collected(table, others)
    read = {}
    for name in names:
        if name in numbers:
            read[name] = np.concatenate(numbers.pop(name))
        else:
            parts = texts.pop(name)
            kind = CATEGORY if name in declared.categorical else kind_of_text(parts)
            read[name] = _converted(parts, kind, name, table)
    return read


def read_as(table: Table, kinds: Mapping[str, str]) -> Any:
    """Read all rows of columns of known kinds, as a matrix or a `Frame`."""
    parts = _collected(table, list(kinds))
    return rows_of({name: _converted(parts[name], kind, name, table) for name, kind in kinds.items()})


def rows_in_chunks(table: Table, kinds: Mapping[str, str], kept: Sequence[str]) -> Iterator[tuple[Any, pa.RecordBatch]]:
    """Iterate over rows of columns of known kinds, and the columns `kept` unchanged."""
    row = table.first_row
    for batch in table.batches(list(dict.fromkeys([*kinds, *kept]))):
        read = {name: as_kind(batch.column(name), kind, name, row, table.name) for name, kind in kinds.items()}
        row += batch.num_rows
        yield rows_of(read), batch.select(list(kept))


def _collected(table: Table, names: Sequence[str]) -> dict[str, list[pa.Array]]:
    """All batches of the columns."""
    parts: dict[str, list[pa.Array]] = {name: [] for name in names}
    for batch in table.batches(list(names)) if names else ():
        for name in names:
            parts[name].append(batch.column(name))
    return parts


def _converted(parts: Sequence[pa.Array], kind: str, name: str, table: Table) -> np.ndarray:
    converted, row = [], table.first_row
    for part in parts:
        converted.append(as_kind(part, kind, name, row, table.name))
        row += len(part)
    return np.concatenate(converted)
