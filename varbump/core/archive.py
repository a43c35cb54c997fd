"""Archives: a zip of one JSON header and of arrays, whose claims are checked before memory is allocated.

Members are stored, not compressed, so no member can be larger than the file. Reading writes nothing to disk and runs
nothing from the file: the JSON is data, and arrays are plain numbers.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

from varbump.core.files import replacing
from varbump.core.strict_json import parse_json
from varbump.version import __version__

__all__ = ["Archive", "ArchiveError", "Declared", "write_archive"]

FORMAT, FORMAT_VERSION = "varbump", 1

HEADER = "varbump.json"

MAX_HEADER_BYTES = 64 * 2**20

LONGEST_ERROR = 600
"""Characters of an error besides the path: names and values that it quotes come from the file."""

DTYPES = ("float32", "float64", "int32", "int64")

NAME = re.compile(r"[a-z0-9_]+(/[a-z0-9_]+)*")

SOME_DAY = (1980, 1, 1, 0, 0, 0)
"""Date of every member, so that equal models give equal files."""


class ArchiveError(ValueError):
    """A file is not an archive of varbump, is damaged, or has a version that this release cannot read."""


class Declared(NamedTuple):
    """Shape and dtype of an array, as the header declares them."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def num_bytes(self) -> int:
        """Size of the numbers alone."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


def write_archive(path: Any, kind: str, configuration: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write an archive to `path`, whole or not at all.

    Parameters
    ----------
    path : str or path
    kind : str
        What the archive holds.
    configuration : mapping
        JSON-serialisable.
    arrays : mapping of str to ndarray
        Names are lower-case words separated by slashes; dtypes are float32, float64, int32 or int64.

    Raises
    ------
    TypeError, ValueError
        If the configuration is not JSON-serialisable, or larger than a reader accepts; nothing is written then.
    OSError
        As `varbump.core.files.replacing`.
    """
    members, declared = {}, {}
    for name, array in arrays.items():
        array = np.asarray(array, order="C")
        if not NAME.fullmatch(name) or array.dtype.name not in DTYPES:
            raise ValueError(f"an archive cannot hold {name!r} of dtype {array.dtype}")
        members[f"{name}.npy"] = content = _npy(array)
        digest = hashlib.sha256(content).hexdigest()
        declared[name] = {"shape": list(array.shape), "dtype": array.dtype.name, "sha256": digest}
    header = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "varbump_version": __version__,
        "kind": kind,
        "configuration": configuration,
        "arrays": declared,
    }
    text = json.dumps(header, allow_nan=False, indent=1).encode()
    if len(text) > MAX_HEADER_BYTES:
        raise ValueError(f"the configuration has {len(text):,} bytes; an archive takes at most {MAX_HEADER_BYTES:,}")
    with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in {HEADER: text, **members}.items():
            archive.writestr(zipfile.ZipInfo(name, SOME_DAY), content)


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


class Archive:
    """An archive open for reading; a context manager.

    Parameters
    ----------
    path : str or path

    Attributes
    ----------
    kind : str
    configuration : dict
        As found in the file. The content is not validated: check what you take from it.
    size : int
        Bytes of the file.
    declared : dict of str to Declared
        Shapes and dtypes of the arrays; each member is known to be large enough for its array.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        If `path` is missing or a folder.
    ArchiveError
        If the file is damaged, or of another version.
    """

    def __init__(self, path: Any) -> None:
        self.path = path
        if not os.path.exists(path):
            raise FileNotFoundError(f"{path} cannot be loaded: there is no such file")
        if os.path.isdir(path):
            raise IsADirectoryError(f"{path} cannot be loaded: it is a folder, not an archive of varbump")
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise self.error("it is no regular file")
        self.size = os.path.getsize(path)
        self._file = Path(path).open("rb")  # noqa: SIM115
        try:
            self._read_header()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def error(self, what: str) -> ArchiveError:
        """Return the error to raise, in one line: which file, and what is wrong with it."""
        what = " ".join(what[: 2 * LONGEST_ERROR].split())
        shown = what if len(what) <= LONGEST_ERROR else f"{what[:LONGEST_ERROR]}..."
        return ArchiveError(f"{self.path} cannot be loaded: {shown}")

    def array(self, name: str) -> np.ndarray:
        """Read a declared array.

        Raises
        ------
        ArchiveError
            If its bytes differ from those that were written.
        """
        shape, dtype = self.declared[name]
        content = self._member(f"{name}.npy")
        if hashlib.sha256(content).hexdigest() != self._digests[name]:
            raise self.error(f"{name} is damaged (its SHA-256 is not the one that was written)")
        buffer = io.BytesIO(content)
        try:
            if np.lib.format.read_magic(buffer) != (1, 0):
                raise ValueError("it is of another version of the npy format")
            found, fortran, kind = np.lib.format.read_array_header_1_0(buffer)
        except Exception as error:  # any, from a parser fed with arbitrary bytes
            raise self.error(f"{name} has no readable header ({error})") from error
        if (found, fortran, kind) != (shape, False, np.dtype(dtype)):
            raise self.error(f"{name} has shape {found} and dtype {kind}, not {shape} and {dtype} as was written")
        if len(content) - buffer.tell() != self.declared[name].num_bytes:
            raise self.error(f"{name} does not hold as many numbers as its shape {shape} says")
        return np.frombuffer(content, dtype, offset=buffer.tell()).reshape(shape).copy()

    def _read_header(self) -> None:
        try:
            self._zip = zipfile.ZipFile(self._file)
            self._members = {info.filename: info for info in self._zip.infolist()}
        except Exception as error:  # any, from a parser fed with arbitrary bytes
            raise self.error(f"it is no archive of varbump, or is truncated ({error})") from error
        if len(self._members) != len(self._zip.infolist()):
            raise self.error("it has two members of one name")
        for name, info in self._members.items():
            if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
                raise self.error(f"{name:.80} is compressed, which varbump never does")
        if sum(info.file_size for info in self._members.values()) > self.size:
            raise self.error("its members claim to be larger than the file")
        if HEADER not in self._members:
            raise self.error(f"it is no archive of varbump, since it has no member {HEADER}")
        if self._members[HEADER].file_size > MAX_HEADER_BYTES:
            raise self.error(f"its {HEADER} is larger than any that varbump writes")
        try:
            header = parse_json(self._member(HEADER))
        except ArchiveError:
            raise
        except ValueError as error:
            raise self.error(f"its {HEADER} is no JSON ({error})") from error
        self._check_header(header)

    def _check_header(self, header: Any) -> None:
        if not isinstance(header, dict) or header.get("format") != FORMAT:
            raise self.error("it is no archive of varbump")
        if header.get("format_version") != FORMAT_VERSION:
            raise self.error(
                f"it is of format version {header.get('format_version')!r:.40}, written by varbump "
                f"{header.get('varbump_version')!r:.40}; varbump {__version__} reads version {FORMAT_VERSION}"
            )
        self.kind, configuration = header.get("kind"), header.get("configuration")
        if not isinstance(configuration, dict):
            raise self.error("it has no configuration")
        self.configuration: dict[str, Any] = configuration
        arrays = header.get("arrays")
        if not isinstance(arrays, dict):
            raise self.error("it has no list of arrays")
        self.declared, self._digests = {}, {}
        for name, entry in arrays.items():
            self.declared[name], self._digests[name] = self._declaration(name, entry)
        extra = set(self._members) - {HEADER, *(f"{name}.npy" for name in self.declared)}
        if extra:
            raise self.error(f"it holds {min(extra)!r:.80} beside its arrays")

    def _declaration(self, name: str, entry: Any) -> tuple[Declared, str]:
        """Check the declaration of an array: shape, dtype, digest, and that its member holds that many numbers."""
        fine = NAME.fullmatch(name) and isinstance(entry, dict) and isinstance(entry.get("sha256"), str)
        if not fine or entry.get("dtype") not in DTYPES or not isinstance(entry.get("shape"), list):
            raise self.error(f"what it says of the array {name!r:.80} makes no sense")
        if f"{name}.npy" not in self._members:
            raise self.error(f"{name:.80} is missing")
        shape = entry["shape"]
        if len(shape) > 32 or not all(type(size) is int and 0 <= size <= self.size for size in shape):
            raise self.error(f"the array {name} cannot have shape {shape!r:.80}")
        if 0 in shape and len(shape) > 1:  # such an array is empty, whatever its other sizes
            raise self.error(f"the array {name} cannot have shape {shape!r:.80}: it would be empty")
        declared = Declared(tuple(shape), entry["dtype"])
        if declared.num_bytes > self._members[f"{name}.npy"].file_size:
            raise self.error(f"the array {name} of shape {shape!r:.80} would be larger than its part of the file")
        return declared, entry["sha256"]

    def _member(self, name: str) -> bytes:
        info = self._members[name]
        try:
            content = self._zip.read(info)
        except Exception as error:  # any, from a parser fed with arbitrary bytes
            raise self.error(f"{name} is damaged ({error})") from error
        if len(content) != info.file_size:
            raise self.error(f"{name} is truncated")
        return content
