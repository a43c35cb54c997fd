"""The workers of a strategy: who they are, and sums over all of them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from varbump.inference.workers.faults import WorkerLost
from varbump.inference.workers.packing import packed, unpacked
from varbump.inference.workers.watchdog import Watchdog

__all__ = ["Cluster", "START_LIMIT"]

LIMIT = 60.0
"""Seconds for which a worker waits for the others between two averages, unless the strategy has a timeout of its own.

All take the same steps, so this is the difference of their times: a slow disk, a checkpoint, a busy machine.
"""

START_LIMIT = 600.0
"""Seconds for which it waits before the first average: the others may have to start, count rows and compile."""


class Cluster:
    """The W workers of a strategy. A process has one of them, or one for each of its devices.

    As a context manager, it limits the time for which a worker waits for the others.

    Parameters
    ----------
    strategy : tf.distribute.MultiWorkerMirroredStrategy or tf.distribute.MirroredStrategy
    has_checkpoint : bool
        Whether the run has one; the error of a lost worker says so.

    Attributes
    ----------
    count : int
        W.
    devices : tuple of str
        Devices of this process.
    ranks : tuple of int
        Numbers of their workers.
    is_chief : bool
        Whether this process has worker 0.
    has_begun : bool
        Whether all workers have compiled, so that they answer within `LIMIT`.
    has_stopped : bool
        Whether all of them know that the run ends early.

    Raises
    ------
    TypeError
        If it is another kind of strategy.
    """

    def __init__(self, strategy: Any, has_checkpoint: bool = False) -> None:
        kinds = (tf.distribute.MirroredStrategy, tf.distribute.MultiWorkerMirroredStrategy)
        if not isinstance(strategy, kinds):
            raise TypeError(
                f"strategy must be a tf.distribute.MultiWorkerMirroredStrategy or MirroredStrategy, got "
                f"{type(strategy).__name__}"
            )
        self.strategy, self.has_checkpoint = strategy, has_checkpoint
        self.has_begun = self.has_stopped = False
        self.count = int(strategy.num_replicas_in_sync)
        self.devices = tuple(strategy.extended.worker_devices)
        found = strategy.experimental_local_results(_compiled(strategy.run, _number)())
        self.ranks = tuple(int(rank) for rank in found)
        self.is_chief = 0 in self.ranks
        own = getattr(getattr(strategy.extended, "_communication_options", None), "timeout_seconds", None)
        self.limit = float(own or LIMIT)
        self._sums: dict[Hashable, Any] = {}
        self._watchdog = Watchdog()

    def __enter__(self) -> Cluster:
        self._watchdog.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._watchdog.__exit__(*error)

    def total(
        self, parts: Sequence[Sequence[tf.Tensor]], limit: float | None = None, share: bool = False
    ) -> list[tf.Tensor]:
        """Sum tensors over all workers, by the strategy's collective; the same bits arrive at all of them.

        Parameters
        ----------
        parts : sequence of sequence of Tensor
            For each device of this process, the same number of tensors, of the same shapes on all workers.
        limit : float, optional
            Seconds to wait for the others; by default as long as is due.
        share : bool, default=False
            Divide the sums by W.

        Raises
        ------
        WorkerLost
            If another worker has ended, or does not answer in time.
        """
        values, limit = [list(part) for part in parts], limit or (self.limit if self.has_begun else START_LIMIT)
        if len(values) > 1:
            given = [
                self.strategy.experimental_distribute_values_from_function(
                    lambda context, i=i: values[self.ranks.index(int(context.replica_id_in_sync_group))][i]
                )
                for i in range(len(values[0]))
            ]
        else:
            given = values[0]
        key = (share, *((value.shape, value.dtype) for value in values[0]))
        if key not in self._sums:
            self._sums[key] = _compiled(self._sum, share)
        try:
            with self._watchdog.limit(limit):
                return list(self._sums[key](*given))
        except tf.errors.OpError as error:
            raise self.lost(error, limit) from error

    def lost(self, error: tf.errors.OpError, limit: float) -> WorkerLost:
        """Make the error of a collective that did not come about."""
        if isinstance(error, tf.errors.DeadlineExceededError):
            what = f"another worker has not answered for {limit:.0f} seconds"
        else:
            reason = next((line for line in reversed(error.message.splitlines()) if "bort" in line), "")
            what = f"another worker has ended or cannot be reached ({reason.strip() or type(error).__name__})"
        return WorkerLost(what, self.has_checkpoint)

    def gathered(self, numbers: Sequence[Sequence[int]]) -> np.ndarray:
        """Integers of all workers, (W, n), of which each device of this process has a row."""
        rows = []
        for rank, row in zip(self.ranks, numbers, strict=True):
            table = np.zeros((self.count, len(row)), np.int32)
            table[rank] = row
            rows.append([tf.constant(table)])
        return np.asarray(self.total(rows, START_LIMIT)[0])

    def shared(self, arrays: dict[str, np.ndarray] | None, facts: Any = None) -> tuple[dict[str, np.ndarray], Any]:
        """Return the arrays of the chief, and facts that JSON can hold, on all workers; others pass None."""
        content = b""
        if self.is_chief:
            stream = io.BytesIO()
            text = np.frombuffer(json.dumps(facts).encode(), np.uint8)
            named: dict[str, Any] = {f"_{name}": value for name, value in (arrays or {}).items()}
            np.savez(stream, text, **named)
            content = stream.getvalue()
        (length,) = self.total(self.of_chief(np.array([len(content)], np.int32)), START_LIMIT)
        size = -(-int(length[0]) // 4) * 4
        padded = np.frombuffer(content.ljust(size, b"\0"), np.int32) if self.is_chief else np.zeros(size // 4, np.int32)
        (whole,) = self.total(self.of_chief(padded), START_LIMIT)
        with np.load(io.BytesIO(np.asarray(whole).tobytes()[: int(length[0])]), allow_pickle=False) as file:
            found = {name[1:]: file[name] for name in file.files if name.startswith("_")}
            return found, json.loads(file["arr_0"].tobytes())

    def of_chief(self, value: np.ndarray) -> list[list[tf.Tensor]]:
        """The value as the part of worker 0, and zeros as those of all others."""
        return [[tf.constant(value if rank == 0 else np.zeros_like(value))] for rank in self.ranks]

    def _sum(self, share: bool, *values: Any) -> Any:
        options = tf.distribute.experimental.CommunicationOptions(timeout_seconds=0.0)  # the watchdog has that

        def one(*tensors: tf.Tensor) -> list[tf.Tensor]:
            context = tf.distribute.get_replica_context()
            # identity: the vectors have the device of the worker, which the collective asks for
            vectors = [tf.identity(vector) for vector in packed(tensors)]
            sums = context.all_reduce(tf.distribute.ReduceOp.SUM, vectors, options=options)
            if share:
                sums = [vector / self.count for vector in sums]
            return unpacked(sums, tensors)

        found = self.strategy.run(one, values)
        return [self.strategy.experimental_local_results(value)[0] for value in found]


def _compiled(function: Callable[..., Any], *arguments: Any) -> Any:
    """Graph of a function; a partial, since TensorFlow would take those of other shapes for retracings of this one."""
    return tf.function(partial(function, *arguments), autograph=False)


def _number() -> tf.Tensor:
    return tf.identity(tf.distribute.get_replica_context().replica_id_in_sync_group)
