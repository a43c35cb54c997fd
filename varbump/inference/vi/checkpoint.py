"""Checkpoints: resume a training run after any interruption."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from varbump.core.archive import Archive, ArchiveError, write_archive
from varbump.core.files import remove_leftovers
from varbump.inference.vi.fingerprint import difference
from varbump.inference.vi.history import History
from varbump.inference.vi.state import TrainState

__all__ = ["Checkpoint", "stored_seed"]

NAME = "fit.checkpoint"

KIND = "checkpoint"

MAX_SHARE = 0.02
"""Largest share of the time of a run that is spent on writing."""

SCALARS = ("seconds", "timed_steps", "stopped")
"""Attributes of a history that neither its columns nor the arguments determine."""


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

    Raises
    ------
    ValueError
        If the folder holds the checkpoint of another run, or a damaged one, or is a file.
    OSError
        If it cannot be written.
    """

    def __init__(self, folder: Any, arguments: dict[str, Any], seed: int) -> None:
        self.path = _path(folder)
        try:
            os.makedirs(self.path.parent, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise ValueError(f"checkpoint must be a folder, but {folder} is a file or lies below one") from error
        remove_leftovers(self.path)
        self._arguments, self._seed = {**arguments, "seed": seed}, seed
        self._wait, self._written = 0.0, 0.0

    def resume(self, state: TrainState, history: History) -> tuple[int, TrainState]:
        """Return the number of finished epochs and the stored state, and restore the columns of `history`.

        If nothing is stored yet, they are 0 and `state`.
        """
        if not self.path.exists():
            self.write(state, history, 0)
            return 0, state
        configuration, arrays = _read(self.path)
        try:
            changed = difference(configuration["arguments"], self._arguments)
            if changed:
                raise ValueError(
                    f"checkpoint {self.path.parent} belongs to another run of fit: {changed}. Give this run a folder "
                    f"of its own, or delete that one"
                )
            state = state.replaced({name: _part(arrays, name) for name in state.arrays()})
            history.history = {
                name: values.tolist()
                for name, values in zip(configuration["columns"], _part(arrays, "history"), strict=True)
            }
            for name in SCALARS:
                setattr(history, name, configuration[name])
            done = int(configuration["epoch"])
        except (KeyError, TypeError, AttributeError) as error:
            raise _damaged(self.path, f"it lacks {error}") from error
        self._written = time.perf_counter()
        return done, state

    def after_chunk(self, state: TrainState, history: History, num_finished: int) -> None:
        """Write the state after the given number of epochs, unless that exceeds `MAX_SHARE` of the time."""
        if time.perf_counter() - self._written >= self._wait:
            self.write(state, history, num_finished)

    def write(self, state: TrainState, history: History, num_finished: int) -> None:
        """Write the state after the given number of epochs."""
        began = time.perf_counter()
        arrays = {f"{name}/{i}": a for name, values in state.arrays().items() for i, a in enumerate(values)}
        arrays |= {f"history/{i}": np.array(values) for i, values in enumerate(history.history.values())}
        scalars = {key: value for key, value in dataclasses.asdict(history).items() if key in SCALARS}
        configuration = {
            "epoch": num_finished,
            "columns": list(history.history),
            "arguments": self._arguments,
            **scalars,
        }
        write_archive(self.path, KIND, configuration, arrays)
        self._written = time.perf_counter()
        self._wait = (self._written - began) / MAX_SHARE


def stored_seed(folder: Any) -> int | None:
    """Seed of the run whose checkpoint is in a folder; None if there is no folder or no checkpoint."""
    if folder is None or not _path(folder).exists():
        return None
    seed = _read(_path(folder), with_arrays=False)[0].get("arguments", {}).get("seed")
    return seed if isinstance(seed, int) else None


def _path(folder: Any) -> Path:
    if not isinstance(folder, (str, os.PathLike)) or not str(folder) or "\0" in str(folder):
        raise TypeError(f"checkpoint must be the path of a folder, got {folder!r}")
    return Path(folder) / NAME


def _read(path: Path, *, with_arrays: bool = True) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        with Archive(path) as archive:
            if archive.kind != KIND:
                raise archive.error("it is no checkpoint")
            return archive.configuration, {name: archive.array(name) for name in archive.declared if with_arrays}
    except (ArchiveError, IsADirectoryError) as error:
        raise _damaged(path, str(error)) from error


def _damaged(path: Path, what: str) -> ValueError:
    return ValueError(f"checkpoint {path.parent} cannot be used ({what}); delete it to train from the start")


def _part(arrays: dict[str, np.ndarray], name: str) -> Sequence[np.ndarray]:
    """The arrays name/0, name/1 and so on."""
    count = sum(key.startswith(f"{name}/") for key in arrays)
    return [arrays[f"{name}/{index}"] for index in range(count)]
