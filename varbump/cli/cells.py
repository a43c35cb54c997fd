"""Conversion of table cells to numbers, with a sentence about the first that fails."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from varbump.cli.errors import UserError

__all__ = ["MISSING", "as_numbers"]

MISSING = pa.array(
    ["", "?", "-", "#n/a", "#n/a n/a", "#na", "-1.#ind", "-1.#qnan", "-nan", "1.#ind", "1.#qnan", "<na>", "n/a", "na",
     "nan", "none", "null"]
)  # fmt: skip
"""Ways to write an empty cell, in lower case: those of pandas, in any case, a question mark and a dash."""

LONGEST_SHOWN = 30

DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}")


def as_numbers(column: pa.Array, name: str, first_row: int, file: str) -> np.ndarray:
    """Convert the cells of one column to float64 (n,), with nan for empty cells and 1 and 0 for true and false.

    Parameters
    ----------
    column : Array (n,)
        Text, or any type of a Parquet file.
    name, file : str
        Names of the column and the file, for messages.
    first_row : int
        Number of the first of these rows.

    Raises
    ------
    UserError
        At the first cell that is not a number.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return _typed(column, name, file)
    text = pc.utf8_trim_whitespace(column)
    lower = pc.utf8_lower(text)
    text = pc.if_else(pc.is_in(lower, MISSING), pa.scalar(None, text.type), text)
    try:
        return _numpy(pc.cast(text, pa.float64()))
    except pa.ArrowInvalid:
        pass
    is_bool = pc.is_in(lower, pa.array(["true", "false"]))
    text = pc.if_else(is_bool, pc.if_else(pc.equal(lower, "true"), "1", "0"), text)
    try:
        return _numpy(pc.cast(text, pa.float64()))
    except pa.ArrowInvalid:
        index = next(i for i, value in enumerate(text) if not _is_number(value))
        raise UserError(_complaint(text[index].as_py(), name, first_row + index, file)) from None


def _numpy(array: pa.Array) -> np.ndarray:
    return array.to_numpy(zero_copy_only=False).astype(np.float64, copy=False)


def _is_number(value: Any) -> bool:
    try:
        pc.cast(pa.array([value.as_py()], pa.string()), pa.float64())
    except pa.ArrowInvalid:
        return False
    return True


def _complaint(value: str, name: str, row: int, file: str) -> str:
    shown = value if len(value) <= LONGEST_SHOWN else value[: LONGEST_SHOWN - 3] + "..."
    what = f"{file}, row {row:,}, column {name!r}: {shown!r} is not a number"
    if re.fullmatch(r"[+-]?\d+,\d+", value):
        return f"{what}; write decimals with a point and thousands without a comma"
    if re.fullmatch(r"[+-]?\d{1,3}([,' ]\d{3})+(\.\d+)?", value):
        return f"{what}; write thousands without a separator"
    if DATE.match(value):
        return f"{what}; columns of dates hold nothing else: correct it, or leave the column out by --features"
    return f"{what}; correct it, or leave the column out; --categorical declares features that are names or codes"


def _typed(column: pa.Array, name: str, file: str) -> np.ndarray:
    kind = column.type
    if pa.types.is_boolean(kind) or pa.types.is_null(kind):
        return _numpy(column.cast(pa.int8()).cast(pa.float64()))
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _numpy(column.cast(pa.float64(), safe=False))
    raise UserError(f"{file}, column {name!r} holds {kind}, not numbers; convert it or leave the column out")
