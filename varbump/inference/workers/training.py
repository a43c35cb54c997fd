"""Training on several workers: from the arguments of `fit` to a run."""

from __future__ import annotations

import dataclasses
from typing import Any

from varbump.core.checks import check_count
from varbump.data.sources import Source
from varbump.inference.stream.training import train_on_source
from varbump.inference.vi.options import Options
from varbump.inference.vi.training import Run
from varbump.inference.workers.agreement import check_same
from varbump.inference.workers.cluster import Cluster
from varbump.inference.workers.team import Team

__all__ = ["AVERAGE_EVERY", "train_with_strategy"]

AVERAGE_EVERY = 256
"""Default number of steps between two averages: one takes about 4 ms, and a step of a small network 35 microseconds."""


def train_with_strategy(loss: Any, source: Source, options: Options, seed: int) -> Run:
    """Train one network on the workers of `options.strategy`.

    Parameters
    ----------
    loss : NetworkLoss
        Its variables get the values of the chief.
    source : Source
        The rows of all workers.
    options : Options
    seed : int
        That of the chief counts.

    Raises
    ------
    ValueError
        If the workers were called with different arguments, or the rows cannot be told from others.
    """
    with Cluster(options.strategy, options.checkpoint is not None) as cluster:
        return _train(cluster, loss, source, options, seed)


def _train(cluster: Cluster, loss: Any, source: Source, options: Options, seed: int) -> Run:
    every = AVERAGE_EVERY if options.average_every is None else check_count(options.average_every, "average_every")
    if source.digest is None:
        raise ValueError(
            f"strategy needs rows that all workers can be seen to share, but {source!r} has no checksum; write the "
            f"rows to Parquet files, and use a ParquetSource"
        )
    variables = [*loss.trainable, *loss.moving, *loss.fixed]
    check_same(
        cluster,
        {
            "the source of the rows": source.digest,
            "the network": [(tuple(v.shape), v.dtype.name) for v in variables],
            "average_every": every,
            "checkpoint": options.checkpoint is not None,
            "seed": options.seed,
            **{name: _described(value) for name, value in options.arguments().items()},
            "validation_data": options.validation_data is not None,
        },
    )
    values, facts = cluster.shared({str(i): v.numpy() for i, v in enumerate(variables)}, {"seed": seed})
    for i, variable in enumerate(variables):
        variable.assign(values[str(i)])
    starts = [[v.numpy()] for v in loss.trainable]
    return train_on_source(loss, source, _quiet(options, cluster), facts["seed"], starts, Team(cluster, every))


def _described(value: Any) -> Any:
    """Value of an option, or its type if its text has an address of this process."""
    if hasattr(value, "get_config"):
        return type(value).__name__
    text = repr(value)
    return type(value).__name__ if " at 0x" in text else text


def _quiet(options: Options, cluster: Cluster) -> Options:
    """Return options by which only the chief shows its progress."""
    return options if cluster.is_chief else dataclasses.replace(options, verbose=0)
