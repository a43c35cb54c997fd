"""Training runs, from arrays to a state: shared by `fit`, `fit_ensemble` and `sample_importance`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from varbump.core.interrupts import safe_point
from varbump.core.keras import is_built, keras
from varbump.core.progress import TrainingProgress
from varbump.core.random import host_seed
from varbump.data.batches import BatchPlan
from varbump.data.sources import Source
from varbump.inference.vi.checkpoint import Checkpoint, stored_argument
from varbump.inference.vi.convergence import Settling
from varbump.inference.vi.course import Course, FixedCourse, OpenCourse
from varbump.inference.vi.failure import non_finite_loss
from varbump.inference.vi.fingerprint import digest, fingerprint
from varbump.inference.vi.history import History
from varbump.inference.vi.loop import Data, Loop
from varbump.inference.vi.members import Members
from varbump.inference.vi.optimizers import make_optimizer
from varbump.inference.vi.options import Options
from varbump.inference.vi.run import run_epochs
from varbump.inference.vi.state import TrainState
from varbump.inference.vi.validation import padded_batch
from varbump.likelihoods.checks import check_likelihood
from varbump.model.checks import check_data, check_network

__all__ = ["Run", "checked_data", "run_seed", "train"]

LEARNING_RATE = 0.01
"""Default learning rate of the built-in Adam."""


@dataclass
class Run:
    """Result of a training run.

    Attributes
    ----------
    history : History
    settling : Settling or None
        Last check of a run without a given length.
    """

    history: History
    settling: Settling | None
    _loop: Loop
    _state: TrainState
    _failure: Exception | None = None

    def values(self) -> Iterator[tuple[Any, np.ndarray]]:
        """Yield each variable that the run changed with its values (K, ...), of the best epoch if there is one."""
        loss, state = self._loop.members.loss, self._state
        values = [*self._loop.optimizer.values(state.optimizer), *state.moving]
        if self.history.best_epoch is not None:
            values = state.best
        yield from zip([*loss.trainable, *loss.moving], map(np.asarray, values), strict=True)

    def sample(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """x, y and weights of the rows that the program saw last, in their padded form; all rows, of arrays."""
        data = self._loop.data
        weights = None if data.sample_weight is None else np.asarray(data.sample_weight)
        return np.asarray(data.x), np.asarray(data.y), weights

    def finish(self) -> None:
        """Write the state back to the optimiser, and raise the error of a run that failed.

        Called at the end of a block of `uninterrupted` in which the values have been written to the variables: a Ctrl-C
        that came after the last epoch is noted in the history.
        """
        self._loop.optimizer.finish(self._state.optimizer)
        if self._failure is not None:
            raise self._failure
        try:
            safe_point()
        except KeyboardInterrupt:
            self.history.stopped = "interrupted"


def run_seed(options: Options) -> int:
    """Seed of a run: the given one, that of its checkpoint, or one from TensorFlow's global seed."""
    return host_seed(stored_argument(options.checkpoint, "seed") if options.seed is None else options.seed)


def checked_data(network: keras.Model, likelihood: Any, x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Convert training data to arrays that fit the network, and build the network if necessary."""
    check_network(network)
    check_likelihood(likelihood)
    if y is None:
        raise ValueError("y is missing: pass fit(network, likelihood, x, y), or a source of varbump.sources for both")
    x, y = check_data(network, likelihood, x, y)
    if not is_built(network):
        network(x[:1])
    return x, y


def train(
    loss: Any, x: np.ndarray, y: np.ndarray, options: Options, seed: int, starts: Sequence[Sequence[np.ndarray]]
) -> Run:
    """Train K members; one network is K = 1.

    Parameters
    ----------
    loss : NetworkLoss or InducingLoss
    x, y : ndarray (N, D), (N, Q)
        Training data, already validated.
    options : Options
    seed : int
    starts : sequence of sequence of ndarray
        For each trainable variable of the loss, its initial value in each of the K members.

    Returns
    -------
    Run
        Nothing has been assigned to the variables of the loss yet.
    """
    network, likelihood = loss.network, loss.likelihood
    weights, total_weight = options.row_weights(x, len(starts[0]))
    validation = None
    if isinstance(options.validation_data, Source):
        raise ValueError("validation_data must be a pair (x, y) where the training data are arrays, not a source")
    if options.validation_data is not None:
        watched_x, watched_y = options.validation_data
        validation = check_data(network, likelihood, watched_x, watched_y, of="validation ")
    members = Members(loss, len(starts[0]))
    stepper = make_optimizer(options.optimizer, loss.trainable, members.num_members)
    batch_size = options.rows_a_step(len(x))
    plan = BatchPlan(len(x), batch_size)
    epochs = options.num_epochs(plan.steps)
    rate = LEARNING_RATE if options.learning_rate is None else options.learning_rate
    course: Course
    if options.seeks_convergence:
        num_weights = loss.count_weights([plan.width, *x.shape[1:]])
        course = OpenCourse(epochs, plan.steps, options, rate, num_weights)
    else:
        course = FixedCourse(epochs, plan.steps, options, rate)
    saved = None
    if options.checkpoint is not None:
        known = {
            "x": digest(x),
            "y": digest(y),
            "sample_weight": digest(weights),
            "validation_data": None if validation is None else digest(*validation),
            "a fixed weight": digest(np.zeros(0), *(v.numpy() for v in loss.fixed)),
            **options.arguments(),
            "epochs": epochs,
            "schedule": [options.schedule, digest(course.block(range(course.end))[..., 0])],
            "num_members": members.num_members,
        }
        saved = Checkpoint(options.checkpoint, fingerprint(network, likelihood, **known), seed)
    data = Data(
        plan.padded(x),
        plan.padded(y),
        None if weights is None else plan.padded(weights),
        plan.row_weights.astype(x.dtype),
        None if validation is None else padded_batch(*validation),
    )
    loop = Loop(members, stepper, data, plan, total_weight, options.patience)
    history = History(num_data=len(x), steps_per_epoch=plan.steps, temperature=float(options.temperature))
    history.estimated_kl = getattr(loss, "estimated_kl", ())
    progress = TrainingProgress(course.expected, options.verbose, options.temperature)
    start = loop.start([np.stack(values) for values in starts])
    with nullcontext() if saved is None else saved.in_use():
        state, failed, error = run_epochs(loop, start, history, course, seed, progress, saved)
    if course.settling is not None and not failed:
        finished = len(history.epoch) == course.end and history.stopped is None
        history.converged, history.gain = finished and course.settling.has_settled, course.settling.gain
    failure = non_finite_loss(loop, state, seed, len(history.epoch), course) if failed else None
    return Run(history, course.settling, loop, state, failure or error)
