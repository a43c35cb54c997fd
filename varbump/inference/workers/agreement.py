"""All workers train the same model: their arguments are compared, and start from the values of the chief."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from varbump.inference.workers.cluster import Cluster

__all__ = ["check_same", "check_same_result", "checksum"]


def check_same(cluster: Cluster, facts: dict[str, Any]) -> None:
    """Raise a ValueError, on all workers, that names the first fact in which one of them differs from the chief."""
    own = [checksum(repr(value)) for value in facts.values()]
    table = cluster.gathered([own] * len(cluster.ranks))
    differing = table != table[0]
    if differing.any():
        fact = int(np.argmax(differing.any(0)))
        rank = int(np.argmax(differing[:, fact]))
        raise ValueError(
            f"all workers must call fit with the same arguments, but {list(facts)[fact]} of worker {rank} differs from "
            f"that of worker 0; run the same script on all of them"
        )


def check_same_result(cluster: Cluster, arrays: list[np.ndarray]) -> None:
    """Raise a RuntimeError unless all workers hold the same bits."""
    own = zlib.crc32(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)) >> 1
    table = cluster.gathered([[own]] * len(cluster.ranks))
    if (table != table[0]).any():
        rank = int(np.argmax(table[:, 0] != table[0, 0]))
        raise RuntimeError(
            f"worker {rank} has other weights than worker 0 after the same averages; do all run the same versions?"
        )


def checksum(text: str) -> int:
    """Checksum of a text that fits into int32."""
    return zlib.crc32(text.encode()) >> 1
