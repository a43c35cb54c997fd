"""Blocks of the shares of all devices of a process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from varbump.data.sources import Source
from varbump.data.sources.share import Share
from varbump.inference.stream.blocks import Block, Blocks
from varbump.inference.vi.options import Options
from varbump.inference.workers.averaging import worker_seed
from varbump.inference.workers.cluster import Cluster

__all__ = ["SharedBlocks"]


class SharedBlocks(Blocks):
    """Blocks of what the devices of this process train on between two averages.

    The data and the plan of a block are tuples, with an entry for each device.

    Parameters
    ----------
    cluster : Cluster
    source : Source
        The whole.
    likelihood : likelihood
    options : Options
        Its `batch_size` is that of a worker.
    dtype : str
    every : int
        Steps between two averages, at most.
    """

    def __init__(
        self, cluster: Cluster, source: Source, likelihood: Any, options: Options, dtype: str, every: int
    ) -> None:
        self._whole, self._cluster = source, cluster
        batch_size = options.rows_a_step(-(-source.num_data // cluster.count))
        shares = [Share(source, rank, cluster.count, every * batch_size) for rank in cluster.ranks]
        batch_size = min(batch_size, shares[0].largest_block)
        super().__init__(shares[0], likelihood, batch_size, dtype)
        self._parts = [Blocks(share, likelihood, batch_size, dtype) for share in shares]

    def num_rows(self, index: int) -> int:
        """Number of rows that all workers have gone through before a block, counted through all epochs."""
        epoch, block = divmod(index, self.num_blocks)
        return (epoch * self.num_blocks + block) * self._whole.num_data // self.num_blocks

    def run(self, seed: int, first: int, end: int) -> Iterator[Block]:
        """Yield the blocks with these numbers, of all devices; each has an order of its own."""
        runs = [
            part.run(worker_seed(seed, rank), first, end)
            for rank, part in zip(self._cluster.ranks, self._parts, strict=True)
        ]
        for blocks in zip(*runs, strict=True):
            data: Any = tuple(block.data for block in blocks)
            plans: Any = tuple(block.plan for block in blocks)
            yield Block(blocks[0].number, data, plans)
