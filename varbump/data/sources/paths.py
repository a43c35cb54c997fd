"""The files of a source: one file, several, a folder, or a pattern."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = ["found"]


def found(path: Any, endings: tuple[str, ...]) -> list[Path]:
    """List the files that a path stands for, in the order of their names.

    Parameters
    ----------
    path : str or path, or a sequence of these
        A file, a folder, whose files with one of the `endings` are taken, or a pattern such as ``"part-*.parquet"``.
    endings : tuple of str

    Raises
    ------
    TypeError
        If it is neither.
    FileNotFoundError
        If there is no such file, or none in the folder.
    """
    if isinstance(path, Iterable) and not isinstance(path, (str, bytes, os.PathLike)):
        return [file for each in path for file in found(each, endings)]
    if not isinstance(path, (str, os.PathLike)) or not str(path):
        raise TypeError(f"path must be a file, a folder or a pattern such as 'part-*{endings[0]}', got {path!r}")
    given = Path(path)
    if given.is_dir():
        inside = sorted(p for p in given.iterdir() if p.is_file() and p.name.lower().endswith(endings))
        files = [file for file in inside if not file.name.startswith((".", "_"))]
        if not files:
            raise FileNotFoundError(f"folder {given} has no file that ends in {' or '.join(endings)}")
        return files
    if given.is_file():
        return [given]
    files = sorted(Path(name) for name in glob.glob(str(path)) if os.path.isfile(name))
    if not files:
        raise FileNotFoundError(f"path {str(path)!r} is no file or folder, and no file matches it")
    return files
