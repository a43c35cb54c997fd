"""Scores of predictive distributions on held-out data, block by block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import logsumexp
from scoringrules import interval_score

from varbump.core.checks import check_shares
from varbump.data.sources import Source
from varbump.predict.predictive import uniform_of
from varbump.predict.to_files import rows_for
from varbump.scores.band import binomial_interval
from varbump.scores.evaluation import Evaluation
from varbump.scores.scored import Scored, scored_of

__all__ = ["LEVELS", "check_levels", "evaluate"]

LEVELS = tuple(k / 20 for k in range(1, 20))
"""5 %, 10 %, ..., 95 %."""


def evaluate(
    model: Any,
    x: Any,
    y: Any = None,
    *,
    likelihood: Any = None,
    levels: Sequence[float] = LEVELS,
    num_draws: int = 400,
    seed: int | None = 0,
) -> Evaluation:
    r"""Score a model on data that it has not seen: accuracy, calibration and sharpness.

    The predictive distribution of each row is a mixture over draws of the weights,
    :math:`p(y | x) = \tfrac1S \sum_s p(y | f(x; w_s))`, and its scores are computed without drawing noise. Rows are
    processed in blocks, so memory is bounded. A row takes about 1 ms at 400 draws (4 ms for Student t, 1 to 40 ms for
    other distributions, most for counts of 1e4): score a random sample of a very large set.

    For counts the log-likelihood is that of probabilities, and coverage follows from the randomised PIT.

    Parameters
    ----------
    model : tf_keras.Model, Ensemble, PosteriorDraws, ImportanceDraws or estimator
        A fitted `VariationalRegressor`, or a scikit-learn pipeline, transformed target or search around one (see
        `varbump.predict_dist`), takes x as its `predict` does, and is scored in the units of y with its own draws:
        `num_draws` and `seed` are then ignored. With a transformed target, RMSE is that of the mean of y, which is not
        the inverse transform of the mean that `predict` returns; and the epistemic share is that of the transformed y.
    x : array-like (N, D), or source
        Held-out inputs; or a source of `varbump.sources`, which is read in pieces, and has y too.
    y : array-like (N,) or (N, Q)
        Observations at x. Scores are in their units. Left out where x is a source.
    likelihood : likelihood, optional
        The one used in training; an ensemble, an estimator, and a network that ends in a distribution of y have
        their own.
    levels : sequence of float, default=(0.05, 0.10, ..., 0.95)
        Levels of the equal-tailed intervals, each in (0, 1).
    num_draws : int, default=400
        S; rounded up to a multiple of the members of an ensemble, and at most what a source has stored.
    seed : int, optional
        Seed of the draws.

    Returns
    -------
    Evaluation
        Print it.

    Raises
    ------
    ValueError
        If x or y is not finite or does not fit the model or the other, or a level is out of range.
    TypeError
        If the model is not one of these, or the likelihood is missing or not one of `varbump.likelihoods`.

    References
    ----------
    Gneiting and Raftery (2007), "Strictly Proper Scoring Rules, Prediction, and Estimation", sections 4.2 and 6.2;
    Gneiting, Balabdaoui and Raftery (2007), "Probabilistic Forecasts, Calibration and Sharpness", section 3.1 (PIT).

    Examples
    --------
    >>> import varbump as vb
    >>> network, likelihood = vb.build_network(1, hidden_units=(), seed=0), vb.likelihoods.LearnedNormal()
    >>> history = vb.fit(network, likelihood, *vb.datasets.cubic(50, seed=0), verbose=0)
    >>> scores = vb.evaluate(network, *vb.datasets.cubic(100, seed=1), likelihood=likelihood)
    >>> bool(0.9 < scores.coverage[0.95] <= 1.0)  # the share of held-out y in the 95 % intervals
    True
    """
    levels = check_levels(levels)
    tails = np.array([0.5 - 0.5 * level for level in levels] + [0.5 + 0.5 * level for level in levels])
    sums, num = _Sums(), 0
    for own_x, own_y in _pieces(model, x, y):
        scored = scored_of(model, own_x, own_y, likelihood, num_draws, seed)
        for rows, mixture in scored.distribution.blocks():
            observed = scored.y[rows]
            uniform = uniform_of(slice(num + rows.start, num + rows.stop), observed.shape[1])[: len(observed)]
            sums.add(mixture, observed, uniform, levels, tails)
        num += len(scored.y)
    num_targets = scored.y.shape[1]
    log_joint, each = sums.log_joint, []
    for q in range(num_targets):
        each.append(_of_target(sums, q, levels, num, num_targets, scored))
    return each[0] if num_targets == 1 else _pooled(each, log_joint / num)


def _pieces(model: Any, x: Any, y: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the rows to score: all at once, or the pieces of a source."""
    if not isinstance(x, Source):
        if y is None:
            raise ValueError("y is missing: pass evaluate(model, x, y), or a source of varbump.sources for both")
        yield x, y
        return
    if y is not None:
        raise ValueError("y must be left out where x is a source, which has its own")
    if x.weighted:
        raise ValueError("rows of a source with weights cannot be scored; make it without sample_weight")
    for rows in rows_for(x, model):
        yield rows.x, rows.y


def check_levels(levels: Sequence[float]) -> tuple[float, ...]:
    """Levels in increasing order; a ValueError if one is not between 0 and 1."""
    return tuple(float(level) for level in np.unique(check_shares(levels, "levels")))


@dataclass
class _Sums:
    """Running results of the blocks: sums over rows, and the PIT."""

    squared_error: Any = 0.0  # (Q,)
    log_joint: float = 0.0
    log_density: Any = 0.0  # (Q,)
    crps: Any = 0.0  # (Q,)
    epistemic: Any = 0.0  # (Q,), variances
    total: Any = 0.0  # (Q,)
    width: Any = 0.0  # (L, Q)
    score: Any = 0.0  # (L, Q)
    pit: list[np.ndarray] = field(default_factory=list)
    num_draws: int = 0

    def add(
        self,
        mixture: Any,
        y: np.ndarray,
        uniform: np.ndarray,
        levels: tuple[float, ...],
        tails: np.ndarray,
    ) -> None:
        """Add a block of rows."""
        mean, total, epistemic = mixture.moments()
        of_components = mixture.log_components(y)
        self.num_draws = len(of_components)
        constant = np.log(self.num_draws)
        self.squared_error += np.sum((y - mean) ** 2, axis=0)
        self.log_joint += float(np.sum(logsumexp(of_components.sum(axis=-1), axis=0) - constant))
        self.log_density += np.sum(logsumexp(of_components, axis=0) - constant, axis=0)
        self.crps += np.sum(mixture.crps(y), axis=0)
        self.epistemic += np.sum(epistemic**2, axis=0)
        self.total += np.sum(total**2, axis=0)
        lower, upper = np.split(mixture.ladder(tails), 2)
        scores = [
            interval_score(y, low, high, 1.0 - level) for level, low, high in zip(levels, lower, upper, strict=True)
        ]
        self.score += np.stack([np.reshape(score, y.shape).sum(axis=0) for score in scores])
        self.width += (upper - lower).sum(axis=1)
        self.pit.append(mixture.pit(y, uniform))


def _of_target(sums: _Sums, q: int, levels: tuple[float, ...], num: int, num_tests: int, scored: Scored) -> Evaluation:
    pit = np.concatenate(sums.pit)[:, q : q + 1]
    coverage = {level: float(np.mean(np.abs(2.0 * pit - 1.0) <= level)) for level in levels}
    return Evaluation(
        num_data=num,
        num_draws=sums.num_draws,
        rmse=float(np.sqrt(sums.squared_error[q] / num)),
        log_likelihood=float(sums.log_density[q] / num),
        crps=float(sums.crps[q] / num),
        interval_score=dict(zip(levels, (sums.score[:, q] / num).tolist(), strict=True)),
        coverage=coverage,
        coverage_interval={level: binomial_interval(coverage[level], num) for level in levels},
        pit=pit,
        sharpness=dict(zip(levels, (sums.width[:, q] / num).tolist(), strict=True)),
        epistemic_share=float(sums.epistemic[q] / sums.total[q]),
        temperature=scored.temperature,
        num_tests=num_tests,
    )


def _pooled(each: list[Evaluation], log_likelihood: float) -> Evaluation:
    """Means over targets; intervals of the coverage as if the targets were identical, which is conservative."""

    def mean(name: str) -> Any:
        values = [getattr(one, name) for one in each]
        if not isinstance(values[0], dict):
            return float(np.mean(values))
        return {level: float(np.mean([value[level] for value in values])) for level in values[0]}

    first, coverage = each[0], mean("coverage")
    return Evaluation(
        num_data=first.num_data,
        num_draws=first.num_draws,
        rmse=mean("rmse"),
        log_likelihood=log_likelihood,
        crps=mean("crps"),
        interval_score=mean("interval_score"),
        coverage=coverage,
        coverage_interval={level: binomial_interval(value, first.num_data) for level, value in coverage.items()},
        pit=np.concatenate([one.pit for one in each], axis=1),
        sharpness=mean("sharpness"),
        epistemic_share=mean("epistemic_share"),
        targets=tuple(each),
        temperature=first.temperature,
    )
