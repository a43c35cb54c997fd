"""What workers tell each other besides numbers: that one of them stops, and why."""

from __future__ import annotations

import numpy as np

from varbump.core.interrupts import safe_point
from varbump.inference.workers.cluster import Cluster
from varbump.inference.workers.faults import WorkerLost

__all__ = ["ENDED", "INTERRUPTED", "NUM_STATUS", "raise_status", "status"]

INTERRUPTED, ENDED = 0, 1
"""Ctrl-C, and an error of its own."""

NUM_STATUS = 2


def status(what: int | None = None) -> np.ndarray:
    """What this worker says, (2,): a 1 at its reason to stop, or none."""
    found = np.zeros(NUM_STATUS, np.float32)
    if what is not None:
        found[what] = 1.0
    return found


def raise_status(total: np.ndarray, cluster: Cluster) -> None:
    """Raise what some workers have said, if they have said something.

    Parameters
    ----------
    total : ndarray (2,)
        Sum over the workers.
    cluster : Cluster

    Raises
    ------
    WorkerLost
        If another worker has ended with an error of its own.
    KeyboardInterrupt
        If Ctrl-C was pressed on one of them; all stop.
    """
    if total[ENDED] or total[INTERRUPTED]:
        cluster.has_stopped = True
    if total[ENDED]:
        raise WorkerLost(
            "another worker has ended with an error of its own, which it has printed", cluster.has_checkpoint
        )
    if total[INTERRUPTED]:
        try:
            safe_point()  # if it was here, it is answered now
        finally:
            raise KeyboardInterrupt
