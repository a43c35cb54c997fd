"""Files and folders that are there whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from varbump.cli.errors import UserError

__all__ = ["check_target", "new_file", "new_folder"]

MARK = "run.json"
"""What makes a folder a run; no other folder is ever replaced."""


def check_target(path: Path, *, force: bool, folder: bool = False) -> None:
    """Raise a UserError unless `path` can be made, or made anew with `force`."""
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
    if folder and any(path.iterdir()) and not (path / MARK).is_file():
        raise UserError(f"--out {path} holds other things than a run of varbump and will not be replaced; name another")
    if not force:
        raise UserError(f"--out {path} exists; add --force to replace it, or name another")


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A file beside `path` that takes its place at the end, or vanishes with an error."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield beside
        beside.replace(path)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder beside `path` that takes its place at the end, or vanishes with an error."""
    path = path.absolute()
    beside, old = (path.with_name(f".{path.name}.{os.getpid()}.{what}") for what in ("partial", "old"))
    try:
        beside.mkdir()
        yield beside
        if path.exists():
            path.rename(old)
        try:
            beside.rename(path)
        except OSError:
            if old.exists():
                old.rename(path)
            raise
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
