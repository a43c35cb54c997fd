"""Checkpoints of several workers: the chief reads and writes them, and the others get what it has read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from varbump.inference.vi.checkpoint import SCALARS, Checkpoint
from varbump.inference.vi.history import History
from varbump.inference.vi.state import TrainState
from varbump.inference.workers.cluster import START_LIMIT, Cluster
from varbump.inference.workers.status import ENDED, raise_status, status

__all__ = ["ChiefCheckpoint"]


class ChiefCheckpoint(Checkpoint):
    """Checkpoint in a folder that only the chief needs to see.

    States are the same on all workers after each average, so that of one is that of all.

    Parameters
    ----------
    cluster : Cluster
    folder, arguments, seed
        As in `Checkpoint`.
    """

    def __init__(self, cluster: Cluster, folder: Any, arguments: dict[str, Any], seed: int) -> None:
        super().__init__(folder, arguments, seed)
        self._cluster = cluster

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep other runs out of the folder, as the chief; others go on when it has it."""
        with ExitStack() as stack:
            with self._told():
                if self._cluster.is_chief:
                    stack.enter_context(super().in_use())
            yield

    def resume(self, state: TrainState, history: History) -> tuple[int, TrainState]:
        """Return what the chief has read: the number of finished blocks and the state; restore the history."""
        done = 0
        with self._told():
            if self._cluster.is_chief:
                done, state = super().resume(state, history)
        arrays: dict[str, np.ndarray] = {}
        facts: dict[str, Any] = {}
        if self._cluster.is_chief:
            arrays = {f"{name}/{i}": a for name, values in state.arrays().items() for i, a in enumerate(values)}
            facts = {"done": done, "so_far": list(self.so_far), "history": history.history}
            facts |= {name: getattr(history, name) for name in SCALARS}
        arrays, facts = self._cluster.shared(arrays, facts)
        parts = {name: [arrays[f"{name}/{i}"] for i in range(len(a))] for name, a in state.arrays().items()}
        for name in ("history", *SCALARS):
            setattr(history, name, facts[name])
        self.so_far = facts["so_far"]
        return facts["done"], state.replaced(parts)

    def write(self, state: TrainState, history: History, num_finished: int) -> None:
        """Write the state, as the chief."""
        if self._cluster.is_chief:
            super().write(state, history, num_finished)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Context manager of a task of the chief, whose error ends the others too."""
        problem: Exception | None = None
        try:
            yield
        except Exception as error:
            problem = error
        found = status(None if problem is None else ENDED)
        total = self._cluster.total(self._cluster.of_chief(found), START_LIMIT)[0]
        if problem is not None:
            raise problem
        raise_status(np.asarray(total), self._cluster)
