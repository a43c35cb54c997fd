"""Write files and folders whole or not at all: beside their place first, then moved into it."""

from __future__ import annotations

import glob
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

__all__ = ["new_file", "new_folder", "remove_leftovers", "replacing"]

ENDING = ".tmp"


@contextmanager
def new_file(path: Any) -> Iterator[Path]:
    """Yield the name of a file to write, which takes the place of `path` at the end of the block.

    If anything fails before that, or the process is killed, `path` keeps its old content, or stays absent.

    Parameters
    ----------
    path : str or path
        Links are followed. The folder must exist.

    Raises
    ------
    FileNotFoundError, IsADirectoryError, PermissionError, OSError
        If the folder does not exist, `path` is a folder, permission is denied, or the disk is full; the message
        names `path`.
    """
    target = _resolved(path)
    if target.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give the name of a file in it")
    with _temporary(path, target) as beside:
        yield beside
        _sync_file(beside)
        if target.exists():
            os.chmod(beside, target.stat().st_mode & 0o777)
        os.replace(beside, target)


@contextmanager
def replacing(path: Any) -> Iterator[BinaryIO]:
    """Yield a binary file to write to, which takes the place of `path` at the end of the block; see `new_file`."""
    with new_file(path) as beside:
        descriptor = os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0), 0o666)
        with open(descriptor, "wb") as file:
            yield file


@contextmanager
def new_folder(path: Any) -> Iterator[Path]:
    """Yield an empty folder to fill, which takes the place of `path`, with all its content, at the end of the block.

    If anything fails before that, or the process is killed, `path` keeps its old content, or stays absent. No system
    call replaces a folder that is not empty, so the old one is renamed first: a process killed between the two
    renames leaves it under a hidden name beside `path`.

    Parameters
    ----------
    path : str or path
        Links are followed. The parent must exist.

    Raises
    ------
    FileNotFoundError, NotADirectoryError, PermissionError, OSError
        If the parent does not exist, `path` is a file, permission is denied, or the disk is full; the message names
        `path`.
    """
    target = _resolved(path)
    if target.exists() and not target.is_dir():
        raise NotADirectoryError(f"{path} is a file; give the name of a folder")
    with _temporary(path, target) as beside:
        beside.mkdir()
        yield beside
        for file in beside.rglob("*"):
            if file.is_file():
                _sync_file(file)
        old = _name_beside(target)
        try:
            if target.exists():
                os.rename(target, old)
            os.replace(beside, target)
        except BaseException:
            if old.exists() and not target.exists():
                os.rename(old, target)
            raise
        shutil.rmtree(old, ignore_errors=True)


def remove_leftovers(path: Any) -> None:
    """Remove the temporary files that processes killed while writing `path` have left beside it."""
    target = Path(os.path.realpath(path))
    for beside in target.parent.glob(f".{glob.escape(target.name)}.*{ENDING}"):
        _remove(beside)


def _resolved(path: Any) -> Path:
    """The file that `path` stands for, in a folder that exists."""
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{path} cannot be written: there is no folder {target.parent}")
    return target


def _name_beside(target: Path) -> Path:
    return target.parent / f".{target.name}.{secrets.token_hex(6)}{ENDING}"


@contextmanager
def _temporary(path: Any, target: Path) -> Iterator[Path]:
    """Yield an unused name beside `target`; after an error nothing is left there, and an OSError names `path`."""
    beside = _name_beside(target)
    try:
        yield beside
    except BaseException as error:
        _remove(beside)
        cause: BaseException = error
        while isinstance(cause.__cause__, OSError):  # a file inside a new folder has been named already
            cause = cause.__cause__
        if isinstance(cause, OSError) and cause.errno is not None:  # the class follows from the number
            raise OSError(cause.errno, f"{path} could not be written ({cause.strerror})") from cause
        raise
    _sync_folder(target.parent)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _sync_file(path: Path) -> None:
    with open(path, "r+b") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make the new name survive a loss of power, on systems that can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
