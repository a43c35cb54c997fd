"""Files that are whole or not there: written beside their place and moved into it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

__all__ = ["remove_leftovers", "replacing"]

ENDING = ".tmp"


@contextmanager
def replacing(path: Any) -> Iterator[BinaryIO]:
    """A binary file to write to, which takes the place of `path` at the end of the block.

    Whatever goes wrong on the way, at `path` lies what was there before, or nothing; even a process that is killed
    leaves no half of a file there.

    Parameters
    ----------
    path : str or path
        A link is followed. The folder must exist.

    Raises
    ------
    FileNotFoundError, IsADirectoryError, PermissionError, OSError
        If there is no such folder, a folder lies at `path`, it must not be written to, or the disk is full; the
        sentence names `path`.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give the name of a file in it")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{path} cannot be written: there is no folder {target.parent}")
    beside = target.parent / f".{target.name}.{secrets.token_hex(6)}{ENDING}"
    try:
        descriptor = os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0), 0o666)
        with open(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            os.chmod(beside, target.stat().st_mode & 0o777)
        os.replace(beside, target)
    except BaseException as error:
        with suppress(OSError):
            beside.unlink()
        if isinstance(error, OSError) and error.errno is not None:  # the class follows from the number
            raise OSError(error.errno, f"{path} could not be written ({error.strerror})") from error
        raise
    _sync_folder(target.parent)


def remove_leftovers(path: Any) -> None:
    """Remove what processes that were killed while they wrote `path` have left beside it."""
    target = Path(os.path.realpath(path))
    for beside in target.parent.glob(f".{target.name}.*{ENDING}"):
        with suppress(OSError):
            beside.unlink()


def _sync_folder(folder: Path) -> None:
    """Make the new name last through a loss of power, where the system has a way to."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
