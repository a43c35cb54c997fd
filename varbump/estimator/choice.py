"""Several candidates trained on the same rows, and the weights with which they are pooled.

Each member of a candidate leaves out rows of its own, a fold. What it makes of them decides the weights, and all
members together are the model: choosing takes no extra fit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, cast

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from joblib.parallel import get_active_backend

from varbump.core.random import generator
from varbump.core.threads import in_threads, num_cores
from varbump.debug.failure import NonFiniteLossError
from varbump.estimator.candidates import Candidate
from varbump.estimator.report import StackingReport
from varbump.estimator.stacking import (
    factor_for_all_members,
    noise_factor,
    noise_tail,
    pooled_log_density,
    stacking_weights,
)
from varbump.predict.mixture import Mixture
from varbump.predict.predictive import Predictive

__all__ = ["choose", "folds", "weights_by_member"]

HELD_OUT, MOST_HELD_OUT = 0.1, 500
"""Share of the rows that each member leaves out, and the largest number of them."""

FEWEST_ROWS = 30
"""With fewer, nothing is left out, and all candidates weigh the same."""

SMALLEST_WEIGHT = 0.05
"""Candidates of less weight are dropped: they would cost more time than they are worth."""

NUM_DRAWS = 100

ROUNDS, CLOSE = 5, 1e-3
"""Weights, and the factor and the shape of the noise, are found in turn, until the factor changes by less than this."""


class HeldOut(NamedTuple):
    """What a candidate makes of the rows that were left out, fold by fold.

    Attributes
    ----------
    alone : list of (Mixture, ndarray)
        Predictive distributions by the member that has left them out, and y there.
    between, noise : ndarray (M,)
        Variance of the mean of f between all members, and of the noise, averaged over targets.
    """

    alone: list[tuple[Mixture, np.ndarray]]
    between: np.ndarray
    noise: np.ndarray

    def log_density(self, factor: float, tail: float) -> np.ndarray:
        """Log density of each row (M,), with the noise multiplied by a factor, and of this shape."""
        parts = [mixture.with_noise(factor, tail).log_density(y) for mixture, y in self.alone]
        return np.concatenate(parts) if parts else np.zeros(0)


def folds(num_rows: int, num_members: int, seed: int) -> list[np.ndarray]:
    """Rows that each member leaves out; no row is left out by two."""
    if num_rows < FEWEST_ROWS:
        return [np.zeros(0, int)] * num_members
    size = min(max(int(HELD_OUT * num_rows), 1), MOST_HELD_OUT, num_rows // max(num_members, 2))
    order = generator(seed).permutation(num_rows)
    return [np.sort(order[size * member : size * (member + 1)]) for member in range(num_members)]


def weights_by_member(weights: np.ndarray, left_out: Sequence[np.ndarray]) -> np.ndarray:
    """Weights of the rows for each member (N, K), 0 for those that it leaves out."""
    result = np.repeat(weights[:, None], len(left_out), axis=1)
    for member, rows in enumerate(left_out):
        result[rows, member] = 0.0
    return result


def choose(
    candidates: Sequence[Candidate],
    train: Callable[[int], Any],
    inputs: Sequence[np.ndarray],
    rows: tuple[np.ndarray, np.ndarray, np.ndarray],
    left_out: Sequence[np.ndarray],
    log_unit: float,
    hint: str,
    seed: int,
    n_jobs: int | None = None,
) -> tuple[list[Any], StackingReport]:
    """Train all candidates and weigh them.

    Parameters
    ----------
    candidates : sequence of Candidate (C,)
    train : callable
        Trains the one of an index, and returns a `TrainedEnsemble`.
    inputs : sequence of ndarray (D,)
        As in `varbump.predict.pool.Part`, of each candidate.
    rows : ndarray (N, D), (N, Q), (N,)
        Inputs, standardised y and weights.
    left_out : sequence of ndarray
        From `folds`.
    log_unit : float
        Sum of the logs of the units of standardised y, for densities in the units of y.
    hint : str
        For the report.
    seed : int
    n_jobs : int, optional
        As in `VariationalRegressor`.

    Returns
    -------
    trained : list of int, TrainedEnsemble
        Indices of the candidates and what they have become, without those that have failed, and those after an
        interruption.
    report : StackingReport
        On these.

    Raises
    ------
    NonFiniteLossError
        If all of them have failed.
    """
    x, z, v = rows
    held = np.concatenate(left_out)

    def tried(index: int) -> tuple[Any, Any]:
        """What was trained and what it makes of the rows left out, or None and the error if its loss became nan."""
        try:
            one = train(index)
        except NonFiniteLossError as error:
            return None, error
        return one, _held_out(one.ensemble, x * inputs[index], z, left_out, seed)

    trained: list[tuple[int, Any]] = []
    distributions: list[HeldOut] = []
    failure = None
    for index, (one, found) in enumerate(_each(tried, len(candidates), n_jobs)):
        if one is None:
            failure = found or failure
            continue
        trained.append((index, one))
        distributions.append(found)
    if failure is not None and not trained:
        raise failure

    def log_density_at(factor: float, tail: float) -> np.ndarray:
        rows_of = [found.log_density(factor, tail) for found in distributions]
        return np.array(rows_of).reshape(len(trained), -1) - log_unit

    weights, factor, tail = _weights_and_noise(log_density_at, v[held])
    between, noise = (np.array([getattr(found, name) for found in distributions]) for name in ("between", "noise"))
    return trained, StackingReport(
        names=tuple(candidates[index].name for index, _ in trained),
        weights=weights,
        noise_factor=factor_for_all_members(factor, weights, between, noise, v[held], len(left_out)),
        noise_tail=tail,
        log_density=log_density_at(1.0, 0.0),
        pooled=pooled_log_density(log_density_at(factor, tail), weights),
        row_weights=v[held],
        hint=hint,
    )


def _weights_and_noise(
    log_density_at: Callable[[float, float], np.ndarray], v: np.ndarray
) -> tuple[np.ndarray, float, float]:
    """Weights of the candidates, 0 for those of too little weight, and the factor and the tail of their noise."""
    factor, tail = 1.0, 0.0
    for _ in range(ROUNDS):
        weights = stacking_weights(log_density_at(factor, tail), v)
        weights[weights < min(SMALLEST_WEIGHT, weights.max())] = 0.0
        weights /= weights.sum()
        before = factor, tail
        factor = noise_factor(lambda b, tail=tail: log_density_at(b, tail), weights, v)  # type: ignore[misc]
        tail = noise_tail(lambda tail, b=factor: log_density_at(b, tail), weights, v)  # type: ignore[misc]
        if abs(np.log(factor / before[0])) < CLOSE and tail == before[1]:
            break
    return weights, factor, tail


def _each(tried: Callable[[int], tuple[Any, Any]], count: int, n_jobs: int | None) -> list[tuple[Any, Any]]:
    """Try each candidate: in threads, one after the other, or by what joblib is told to use.

    None for the one that a Ctrl-C has reached before anything was learned, and those that had not begun.
    """
    if effective_n_jobs(n_jobs) > 1:
        return list(Parallel(n_jobs=n_jobs)(delayed(tried)(index) for index in range(count)))
    found = in_threads([partial(tried, index) for index in range(count)], _num_threads(n_jobs))
    return [(None, None) if result is None else result for result in found]


def _num_threads(n_jobs: int | None) -> int:
    """Threads that train candidates; one if there shall be one job, or if joblib runs several of what calls this."""
    if n_jobs is not None or get_active_backend()[0].nesting_level:
        return 1
    return num_cores()


def _held_out(ensemble: Any, x: np.ndarray, z: np.ndarray, left_out: Sequence[np.ndarray], seed: int) -> HeldOut:
    """Predict the rows that were left out: by the member that has left them out, and by all."""
    found: list[tuple[Mixture, np.ndarray]] = []
    for member, rows in enumerate(left_out):
        if len(rows):
            alone = ensemble.alone(member)
            predictive = Predictive(alone, alone.likelihoods, NUM_DRAWS, seed)
            for block, mixture in predictive.blocks(x[rows]):
                y = z[rows][block]
                found.append((cast(Mixture, mixture.first(len(y))), y))
    if not found or len(left_out) == 1:
        return HeldOut(found, *np.zeros((2, sum(map(len, left_out)))))
    num_members, rows = len(left_out), np.concatenate(left_out)
    together = Predictive(ensemble, ensemble.likelihoods, NUM_DRAWS * num_members, seed)
    between, noise = [], []
    for _, mixture in together.blocks(x[rows]):
        means = [mixture.loc[member::num_members].mean(axis=0) for member in range(num_members)]
        between.append(np.var(means, axis=0, ddof=1).mean(axis=-1))
        noise.append(np.mean(cast(Mixture, mixture).scale ** 2, axis=(0, -1)))
    return HeldOut(found, np.concatenate(between)[: len(rows)], np.concatenate(noise)[: len(rows)])
