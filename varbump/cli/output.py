"""Output files: checks of --out before the work begins, and a sentence if writing fails."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from varbump.cli.errors import UserError
from varbump.core import files

__all__ = ["check_target", "new_file", "new_folder"]

MARK = "run.json"
"""The file that marks a folder as a run; no other folder is ever replaced."""


def check_target(path: Path, *, force: bool, folder: bool = False) -> None:
    """Raise a UserError unless `path` can be created, or replaced if `force`."""
    parent = path.absolute().parent
    if not parent.is_dir():
        raise UserError(f"--out {path}: the folder {parent} does not exist")
    if not os.access(parent, os.W_OK):
        raise UserError(f"--out {path}: the folder {parent} may not be written to: permission denied")
    if not path.exists():
        return
    if folder and (not path.is_dir() or path.is_symlink()):
        raise UserError(f"--out {path} is a file, but a folder is to be made")
    if not folder and path.is_dir():
        raise UserError(f"--out {path} is a directory, but a file is to be made")
    if not folder and not path.is_file():
        raise UserError(f"--out {path} is no regular file but a pipe, a terminal or a device; name a file")
    if folder and any(path.iterdir()) and not (path / MARK).is_file():
        raise UserError(f"--out {path} holds other things than a run of varbump and will not be replaced; name another")
    if not force:
        raise UserError(f"--out {path} exists; add --force to replace it, or name another")


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """As `varbump.core.files.new_file`, but an OSError becomes a UserError."""
    with _user_errors(), files.new_file(path) as beside:
        yield beside


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """As `varbump.core.files.new_folder`, but an OSError becomes a UserError."""
    with _user_errors(), files.new_folder(path) as beside:
        yield beside


@contextmanager
def _user_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(str(error.strerror or error)) from error
