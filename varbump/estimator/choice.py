"""Several candidates trained on the same rows, and the weights with which they are pooled.

Each member of a candidate leaves out rows of its own, a fold. What it makes of them decides the weights, and all
members together are the model: choosing takes no extra fit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from joblib.parallel import get_active_backend

from varbump.core.random import generator
from varbump.core.threads import in_threads, num_cores
from varbump.debug.failure import NonFiniteLossError
from varbump.estimator.candidates import Candidate
from varbump.estimator.report import StackingReport
from varbump.estimator.stacking import pooled_log_density, stacking_weights
from varbump.predict.predictive import Predictive

__all__ = ["choose", "folds", "weights_by_member"]

HELD_OUT, MOST_HELD_OUT = 0.1, 500
"""Share of the rows that each member leaves out, and the largest number of them."""

FEWEST_ROWS = 30
"""With fewer, nothing is left out, and all candidates weigh the same."""

SMALLEST_WEIGHT = 0.05
"""Candidates of less weight are dropped: they would cost more time than they are worth."""

NUM_DRAWS = 100


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
        return one, _held_out(one.ensemble, x * inputs[index], z, left_out, seed) - log_unit

    trained: list[Any] = [None] * len(candidates)
    log_density = np.full((len(candidates), len(held)), -np.inf)
    failure = None
    for index, (one, found) in enumerate(_each(tried, len(candidates), n_jobs)):
        if one is None:
            failure = found or failure
            continue
        trained[index], log_density[index] = one, found
    there = np.array([one is not None for one in trained])
    if failure is not None and not there.any():
        raise failure
    log_density = log_density[there]
    weights = stacking_weights(log_density, v[held])
    weights[weights < min(SMALLEST_WEIGHT, weights.max())] = 0.0
    weights /= weights.sum()
    return [(index, one) for index, one in enumerate(trained) if one is not None], StackingReport(
        names=tuple(candidate.name for candidate, is_there in zip(candidates, there, strict=True) if is_there),
        weights=weights,
        log_density=log_density,
        pooled=pooled_log_density(log_density, weights),
        row_weights=v[held],
        hint=hint,
    )


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


def _held_out(ensemble: Any, x: np.ndarray, z: np.ndarray, left_out: Sequence[np.ndarray], seed: int) -> np.ndarray:
    """Log density of each left-out row by the member that has left it out, fold by fold."""
    densities = []
    for member, rows in enumerate(left_out):
        if len(rows):
            alone = ensemble.alone(member)
            densities.append(Predictive(alone, alone.likelihoods, NUM_DRAWS, seed).log_density(x[rows], z[rows]))
    return np.concatenate(densities) if densities else np.zeros(0)
