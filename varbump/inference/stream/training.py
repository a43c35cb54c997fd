"""Training runs on a source, from its rows to a state: shared by `fit` and `fit_ensemble`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from varbump.core.keras import float_dtype, is_built, keras
from varbump.core.progress import TrainingProgress
from varbump.data.sources import Source
from varbump.inference.stream.alone import Alone
from varbump.inference.stream.course import BlockCourse
from varbump.inference.stream.run import BlockRun
from varbump.inference.stream.watch import watched_source
from varbump.inference.vi.course import BUDGET
from varbump.inference.vi.fingerprint import digest, fingerprint
from varbump.inference.vi.history import History
from varbump.inference.vi.members import Members
from varbump.inference.vi.optimizers import make_optimizer
from varbump.inference.vi.options import Options
from varbump.inference.vi.training import LEARNING_RATE, Run
from varbump.likelihoods.checks import check_likelihood
from varbump.model.checks import check_input_shape, check_network, check_outputs

__all__ = ["check_source", "sole_source", "train_on_source"]


def sole_source(x: Source, y: Any, options: Options) -> Source:
    """Return a source that comes without other data, or raise a ValueError."""
    if y is not None:
        raise ValueError("y must be left out where x is a source, which has its own")
    if options.sample_weight is not None:
        raise ValueError(
            "sample_weight belongs to the source, such as ParquetSource(path, target, sample_weight='column')"
        )
    return x


def check_source(network: keras.Model, likelihood: Any, source: Source, of: str = "") -> None:
    """Check that rows of a source fit the network and the likelihood, and build the network if necessary."""
    check_network(network)
    check_likelihood(likelihood)
    source.check_numbers()
    check_input_shape(network, (source.num_data, *source.x_shape), f"{of}x")
    if not is_built(network):
        network(np.zeros((1, *source.x_shape), float_dtype(network)))
    check_outputs(network, likelihood, (source.num_data, *source.y_shape), f"{of}y")


def train_on_source(
    loss: Any,
    source: Source,
    options: Options,
    seed: int,
    starts: Sequence[Sequence[np.ndarray]],
    made: Alone | None = None,
) -> Run:
    """Train K members on a source; as `varbump.inference.vi.training.train` with arrays.

    An epoch is a sequence of blocks, each of which is a call of the compiled program with shuffles and noise of its
    own. Without `epochs`, there are as many as make up 60,000 steps.
    """
    network, likelihood, dtype, made = loss.network, loss.likelihood, float_dtype(loss.network), made or Alone()
    blocks = made.blocks(source, likelihood, options, dtype)
    epochs = options.epochs or -(-BUDGET // (blocks.steps * blocks.num_blocks))
    options = dataclasses.replace(options, epochs=epochs)
    source.check_epochs(epochs)
    members = Members(loss, len(starts[0]))
    stepper = make_optimizer(options.optimizer, loss.trainable, members.num_members)
    rate = LEARNING_RATE if options.learning_rate is None else options.learning_rate
    course = BlockCourse(epochs, blocks.num_blocks, blocks.steps, options, rate)
    validation = None if options.validation_data is None else watched_source(options.validation_data)
    if validation is not None:
        check_source(network, likelihood, validation, "validation ")
    saved = None
    if options.checkpoint is not None:
        known = {
            "source": _digest(source),
            "validation_data": None if validation is None else _digest(validation),
            "a fixed weight": digest(np.zeros(0), *(v.numpy() for v in loss.fixed)),
            **options.arguments(),
            "schedule": [options.schedule, digest(course.sample())],
            "num_members": members.num_members,
            **made.facts(),
        }
        saved = made.checkpoint(options.checkpoint, fingerprint(network, likelihood, **known), seed)
    loop = made.loop(members, stepper, blocks.empty(), blocks.plan(0), source.total_weight, None, epochs_a_call=1)
    history = History(
        num_data=source.num_data,
        steps_per_epoch=blocks.steps * blocks.num_blocks,
        temperature=float(options.temperature),
    )
    history.estimated_kl = getattr(loss, "estimated_kl", ())
    progress = TrainingProgress(epochs * source.num_data, options.verbose, options.temperature, unit="row")
    watched = None if validation is None else made.watched(loop, validation)
    run = BlockRun(loop, blocks, course, seed, watched, options.patience, saved)
    start = loop.start([np.stack(values) for values in starts])
    with nullcontext() if saved is None else saved.in_use():
        try:
            state = run(start, history, progress)
        except KeyboardInterrupt:  # before anything was learned
            made.finish(run, start, history, course.end)
            raise
        made.finish(run, state, history, course.end)
    failure = made.failure(run, state, seed, course, blocks.num_blocks) if run.failed else None
    return Run(history, None, run.loop, state, failure or run.error)


def _digest(source: Source) -> str:
    found = source.digest
    if found is None:
        raise ValueError(
            f"checkpoint needs rows that can be told from others, but {source!r} has no checksum; write the rows to "
            f"Parquet files, and use a ParquetSource"
        )
    return found
