"""Tables from standard input, which are kept in a temporary file while they are read: more than once, and in pieces."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from varbump.cli.errors import UserError

__all__ = ["NAME", "STANDARD", "table_file"]

STANDARD = Path("-")
"""Stands for standard input and standard output."""

NAME = "standard input"

MARKS = {b"PAR1": ".parquet", b"\x1f\x8b": ".csv.gz"}
"""First bytes of the formats that are no plain text."""


@contextmanager
def table_file(path: Path) -> Iterator[Path]:
    """Yield the file of a table: `path`, or for "-" a copy of standard input, which is removed at the end.

    The copy is CSV, gzipped CSV or Parquet by its first bytes.

    Raises
    ------
    UserError
        If standard input is a terminal, or closed.
    """
    if path != STANDARD:
        yield path
        return
    if sys.stdin is None or sys.stdin.closed:
        raise UserError("- stands for standard input, which is closed; pipe a table into it, or name a file")
    if sys.stdin.isatty():
        raise UserError("- stands for standard input, which is a terminal; pipe a table into it, or name a file")
    with tempfile.TemporaryDirectory(prefix="varbump-") as folder:
        copy = Path(folder) / "table"
        with open(copy, "wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        with open(copy, "rb") as file:
            start = file.read(4)
        suffix = next((suffix for mark, suffix in MARKS.items() if start.startswith(mark)), ".csv")
        yield copy.rename(copy.with_suffix(suffix))
