"""Validation by several workers, each on its share of the rows."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from varbump.data.sources import Source
from varbump.data.sources.share import Share
from varbump.inference.stream.watch import Watched
from varbump.inference.vi.loop import Loop
from varbump.inference.vi.state import TrainState
from varbump.inference.workers.cluster import Cluster
from varbump.inference.workers.status import ENDED, INTERRUPTED, raise_status, status

__all__ = ["SharedWatched"]


class SharedWatched:
    """Loss of the validation data, the same number on all workers, which decide by it when to stop.

    Parameters
    ----------
    cluster : Cluster
    loop : Loop
    source : Source
        The whole.
    """

    def __init__(self, cluster: Cluster, loop: Loop, source: Source) -> None:
        self._cluster = cluster
        shares = [Share(source, rank, cluster.count, source.block_rows) for rank in cluster.ranks]
        self._parts = [(share.num_data / source.num_data, Watched(loop, share)) for share in shares]

    def nll(self, state: TrainState, seed: np.ndarray) -> float:
        """Mean nll over all rows for one draw of the weights, which all workers share, nats per observation."""
        values, what = [0.0] * len(self._parts), None
        problem: BaseException | None = None
        try:
            values = [fraction * part.nll(state, seed) for fraction, part in self._parts]
        except KeyboardInterrupt as error:
            what, problem = INTERRUPTED, error
        except Exception as error:
            what, problem = ENDED, error
        found = [[tf.constant(np.array([value, *status(what)]))] for value in values]
        total = np.asarray(self._cluster.total(found)[0])
        if problem is not None:
            raise problem
        raise_status(total[1:], self._cluster)
        return float(total[0])
