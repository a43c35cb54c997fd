"""What the columns of a table hold, by their content: numbers, dates or categories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from varbump.cli.cells import MISSING, as_numbers
from varbump.cli.errors import UserError
from varbump.cli.frame import CATEGORY, DATE, NUMBER

__all__ = ["as_kind", "is_word", "kind_of_text"]

NUMERIC = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"

ISO_DATE = r"^\d{4}-\d{2}-\d{2}([ T].*)?$"


def kind_of_text(parts: Sequence[pa.Array]) -> str:
    """Return the kind of a column that does not hold numbers only.

    If more than half of the cells are numbers, or dates, the others are taken for errors, which are then named.

    Parameters
    ----------
    parts : sequence of Array
        Text, or another type of a Parquet file.
    """
    if all(pa.types.is_temporal(part.type) and not pa.types.is_duration(part.type) for part in parts):
        return DATE
    texts = [_text(part).drop_null() for part in parts]
    total = sum(map(len, texts))

    def share(pattern: str) -> float:
        found = [pc.sum(pc.match_substring_regex(text, pattern)).as_py() or 0 for text in texts]
        return sum(found) / max(total, 1)

    if share(NUMERIC) > 0.5:
        return NUMBER
    return DATE if share(ISO_DATE) > 0.5 else CATEGORY


def is_word(kind: pa.DataType) -> bool:
    """Whether cells of a type can be read as words: all but lists, durations and the like."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return not (pa.types.is_nested(kind) or pa.types.is_duration(kind) or "binary" in str(kind))


def as_kind(column: pa.Array, kind: str, name: str, first_row: int, file: str) -> np.ndarray:
    """Convert the cells of one column (n,) to a kind, see `varbump.cli.frame`.

    Raises
    ------
    UserError
        At the first cell that is not of this kind.
    """
    if kind == NUMBER:
        return as_numbers(column, name, first_row, file)
    if kind == DATE:
        return _dates(column, name, first_row, file)
    if not is_word(column.type):
        raise UserError(f"{file}, column {name!r} holds {column.type}, not words; convert it or leave the column out")
    words = np.empty(len(column), dtype=object)
    words[:] = _text(column).to_pylist()
    return words


def _dates(column: pa.Array, name: str, first_row: int, file: str) -> np.ndarray:
    if not pa.types.is_temporal(column.type):
        column = _text(column)
    for target in (pa.timestamp("us"), pa.timestamp("us", "UTC")):
        try:
            return pc.cast(column, target).cast(pa.timestamp("us")).to_numpy(zero_copy_only=False)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            continue
    index = next((i for i, cell in enumerate(column) if not _is_date(cell)), 0)
    raise UserError(
        f"{file}, row {first_row + index:,}, column {name!r}: {column[index].as_py()!s:.30} is not a date such as "
        f"2024-02-29 or 2024-02-29 12:30, as the other cells are; correct it, or declare the column by --categorical"
    )


def _is_date(cell: Any) -> bool:
    try:
        pc.cast(pa.array([cell.as_py()], pa.string()), pa.timestamp("us"))
    except pa.ArrowInvalid:
        return False
    return True


def _text(column: pa.Array) -> pa.Array:
    """Return the cells as text without spaces around it, null if empty."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        column = pc.cast(column, pa.string())
    text = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.is_in(pc.utf8_lower(text), MISSING), pa.scalar(None, text.type), text)
