"""Write files and folders whole or not at all: beside their place first, then moved into it.

Only regular files and folders are ever replaced, never a device, a named pipe or a socket. A link is written through:
what it leads to is replaced, and the link stays; one that leads nowhere is refused.
"""

from __future__ import annotations

import glob
import importlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from varbump.core.interrupts import uninterrupted

__all__ = ["alone_in", "check_file", "check_folder", "new_file", "new_folder", "remove_leftovers", "replacing"]

ENDING = ".tmp"


KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFREG: "a file",
}


def check_file(path: Any) -> Path:
    """Return the file that `path` stands for, links followed, or raise an OSError unless a file may be put there.

    Raises
    ------
    FileNotFoundError, IsADirectoryError, FileExistsError
        If there is no such folder, or `path` is a link that leads nowhere, a folder, or anything else that is not a
        regular file, such as a device.
    """
    mode = _mode(path)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(f"{path} is a folder; give the name of a file in it")
    if mode and not stat.S_ISREG(mode):
        kind = KINDS.get(stat.S_IFMT(mode), "something else")
        raise FileExistsError(f"{path} is {kind}, which is not replaced by a file; give another name")
    return _resolved(path)


def check_folder(path: Any) -> Path:
    """Return the folder that `path` stands for, links followed, or raise an OSError unless one may be put there.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If there is no such parent, or `path` is a link that leads nowhere, or not a folder.
    """
    mode = _mode(path)
    if mode and not stat.S_ISDIR(mode):
        kind = KINDS.get(stat.S_IFMT(mode), "something else")
        raise NotADirectoryError(f"{path} is {kind}; give the name of a folder")
    return _resolved(path)


@contextmanager
def new_file(path: Any) -> Iterator[Path]:
    """Yield the name of a file to write, which takes the place of `path` at the end of the block.

    If anything fails before that, or the process is killed, `path` keeps its old content, or stays absent. A killed
    process leaves its temporary file, named ``.NAME.*.tmp``, beside it.

    Parameters
    ----------
    path : str or path
        Links are followed. The folder must exist.

    Raises
    ------
    FileNotFoundError, IsADirectoryError, FileExistsError, PermissionError, OSError
        As `check_file`; or if permission is denied, or the disk is full. The message names `path`.
    """
    target = check_file(path)
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
        As `check_folder`; or if permission is denied, or the disk is full. The message names `path`.
    """
    target = check_folder(path)
    with _temporary(path, target) as beside:
        beside.mkdir()
        yield beside
        for file in beside.rglob("*"):
            if file.is_file():
                _sync_file(file)
        old = _name_beside(target)
        with uninterrupted():
            try:
                if target.exists():
                    os.rename(target, old)
                os.replace(beside, target)
            except BaseException:
                if old.exists() and not target.exists():
                    os.rename(old, target)
                raise
            shutil.rmtree(old, ignore_errors=True)


@contextmanager
def alone_in(folder: Any) -> Iterator[None]:
    """Keep all other blocks of `alone_in` out of a folder, those of other processes too, until the end of the block.

    The lock ends with the process, however that ends, and leaves no file behind. Windows and some network file systems
    have no such locks; nobody is kept out there.

    Raises
    ------
    BlockingIOError
        If another block is in the folder.
    """
    if os.name != "posix":
        yield
        return
    fcntl: Any = importlib.import_module("fcntl")
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BlockingIOError(error.errno, f"{folder} is in use") from error
        except OSError:
            pass  # a file system without locks
        yield
    finally:
        os.close(descriptor)


def remove_leftovers(path: Any) -> None:
    """Remove the temporary files that processes killed while writing `path` have left beside it."""
    target = Path(os.path.realpath(path))
    for beside in target.parent.glob(f".{glob.escape(target.name)}.*{ENDING}"):
        _remove(beside)


def _mode(path: Any) -> int:
    """What is at `path`, links followed, as in `os.stat`; 0 if nothing is."""
    try:
        return os.stat(path).st_mode
    except FileNotFoundError as error:
        if os.path.islink(path):
            raise FileNotFoundError(f"{path} is a link to {os.readlink(path)}, which does not exist") from error
    except NotADirectoryError:
        pass  # `_resolved` names the folder that is missing
    return 0


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
