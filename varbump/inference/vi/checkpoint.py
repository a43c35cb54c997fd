"""Checkpoints: resume a training run after any interruption."""

from __future__ import annotations

import dataclasses
import json
import os
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from varbump.core.archive import Archive, ArchiveError, write_archive
from varbump.core.files import alone_in, remove_leftovers
from varbump.inference.vi.fingerprint import difference, digest
from varbump.inference.vi.history import History
from varbump.inference.vi.state import TrainState

__all__ = ["Checkpoint", "stored_argument"]

NAME = "fit.checkpoint"

KIND = "checkpoint"

MAX_SHARE = 0.02
"""Largest share of the time of a run that is spent on writing."""

SCALARS = ("seconds", "timed_steps", "stopped")
"""Attributes of a history that neither its columns nor the arguments determine."""

SEAL = "sha256"
"""Key of the checksum of everything else in a checkpoint."""


class Checkpoint:
    """State of a run in a folder: weights, optimiser, best weights, history, and the identity of the run.

    Shuffles and noise are functions of the seed and the epoch, so they need no state.

    Parameters
    ----------
    folder : str or path
        Created if it does not exist.
    arguments : dict
        From `varbump.inference.vi.fingerprint.fingerprint`.
    seed : int

    Attributes
    ----------
    so_far : sequence of float
        What is known of an epoch that is under way, see `BlockRun`; `write` stores it, and `resume` restores it.
    """

    def __init__(self, folder: Any, arguments: dict[str, Any], seed: int) -> None:
        self.path = _path(folder)
        self._arguments, self._seed = {**arguments, "seed": seed}, seed
        self._wait, self._written, self._warned = 0.0, 0.0, False
        self.so_far: Sequence[float] = ()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep other runs out of the folder during the block, and remove what killed ones have left.

        Raises
        ------
        ValueError
            If the folder is a file, or another run is using it.
        """
        folder = self.path.parent
        try:
            os.makedirs(folder, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise ValueError(f"checkpoint must be a folder, but {folder} is a file or lies below one") from error
        with ExitStack() as stack:
            try:
                stack.enter_context(alone_in(folder))
            except BlockingIOError as error:
                raise ValueError(
                    f"checkpoint {folder} is in use by another run of fit, in this process or another; wait for it to "
                    f"end, or give this run a folder of its own"
                ) from error
            remove_leftovers(self.path)
            yield

    def resume(self, state: TrainState, history: History) -> tuple[int, TrainState]:
        """Return the number of finished epochs, or blocks, and the stored state, and restore the columns of `history`.

        If nothing is stored yet, they are 0 and `state`.

        Raises
        ------
        ValueError
            If the checkpoint is that of another run, or damaged.
        OSError
            If it cannot be read or written.
        """
        if not self.path.exists():
            self.write(state, history, 0)
            return 0, state
        configuration, arrays = _read(self.path)
        changed = difference(configuration["arguments"], self._arguments)
        if changed:
            raise ValueError(
                f"checkpoint {self.path.parent} belongs to another run of fit: {changed}. Give this run a folder of "
                f"its own, or delete that one"
            )
        try:
            state = state.replaced({name: _part(arrays, name) for name in state.arrays()})
            history.history = {
                name: values.tolist()
                for name, values in zip(configuration["columns"], _part(arrays, "history"), strict=True)
            }
            for name in SCALARS:
                setattr(history, name, configuration[name])
            done, self.so_far = int(configuration["epoch"]), [float(value) for value in configuration["so_far"]]
        except (KeyError, TypeError, ValueError) as error:  # of another version, since its checksum is right
            raise _damaged(self.path, f"another version of varbump has written it: {error}") from error
        self._written = time.perf_counter()
        return done, state

    def after_chunk(self, state: TrainState, history: History, num_finished: int) -> None:
        """Write the state after the given number of epochs, unless that exceeds `MAX_SHARE` of the time."""
        if time.perf_counter() - self._written >= self._wait:
            self.keep(state, history, num_finished)

    def keep(self, state: TrainState, history: History, num_finished: int) -> None:
        """Write the state; if that fails, as on a full disk, warn once, keep the last one, and try again later."""
        began = time.perf_counter()
        try:
            self.write(state, history, num_finished)
        except OSError as error:
            self._written = time.perf_counter()
            self._wait = (self._written - began) / MAX_SHARE
            if not self._warned:
                self._warned = True
                warnings.warn(
                    f"{error.strerror or error}; training goes on, and what was written before stays",
                    RuntimeWarning,
                    stacklevel=2,
                )

    def write(self, state: TrainState, history: History, num_finished: int) -> None:
        """Write the state after the given number of epochs."""
        began = time.perf_counter()
        arrays = {f"{name}/{i}": a for name, values in state.arrays().items() for i, a in enumerate(values)}
        arrays |= {f"history/{i}": np.array(values) for i, values in enumerate(history.history.values())}
        scalars = {key: value for key, value in dataclasses.asdict(history).items() if key in SCALARS}
        configuration = {
            "epoch": num_finished,
            "so_far": list(self.so_far),
            "columns": list(history.history),
            "arguments": self._arguments,
            **scalars,
        }
        configuration[SEAL] = _seal(configuration, arrays)
        write_archive(self.path, KIND, configuration, arrays)
        self._written = time.perf_counter()
        self._wait = (self._written - began) / MAX_SHARE


def stored_argument(folder: Any, name: str) -> Any | None:
    """An argument of the run whose checkpoint is in a folder; None if there is no folder or no checkpoint."""
    if folder is None or not _path(folder).exists():
        return None
    return _read(_path(folder))[0]["arguments"][name]


def _path(folder: Any) -> Path:
    if not isinstance(folder, (str, os.PathLike)) or not str(folder) or "\0" in str(folder):
        raise TypeError(f"checkpoint must be the path of a folder, got {folder!r}")
    return Path(folder) / NAME


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Configuration and arrays of a checkpoint, which are those that were written."""
    try:
        with Archive(path) as archive:
            if archive.kind != KIND:
                raise archive.error("it is no checkpoint")
            configuration = dict(archive.configuration)
            arrays = {name: archive.array(name) for name in archive.declared}
            seal = configuration.pop(SEAL, None)
            if seal is None or seal != _seal(configuration, arrays):
                raise archive.error("it is damaged, was edited, or is of an earlier version: its checksum is wrong")
            return configuration, arrays
    except (ArchiveError, IsADirectoryError) as error:
        raise _damaged(path, str(error)) from error


def _seal(configuration: dict[str, Any], arrays: dict[str, np.ndarray]) -> str | None:
    """Checksum of a configuration and of arrays with their names."""
    names = sorted(arrays)
    text = json.dumps([configuration, names], sort_keys=True).encode()
    return digest(np.frombuffer(text, np.uint8), *(arrays[name] for name in names))


def _damaged(path: Path, what: str) -> ValueError:
    return ValueError(f"checkpoint {path.parent} cannot be used ({what}); delete it to train from the start")


def _part(arrays: dict[str, np.ndarray], name: str) -> Sequence[np.ndarray]:
    """The arrays name/0, name/1 and so on."""
    count = sum(key.startswith(f"{name}/") for key in arrays)
    return [arrays[f"{name}/{index}"] for index in range(count)]
