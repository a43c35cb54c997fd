"""Cross-validation of the regressor beside scikit-learn's line, forest and boosting."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import norm
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import BayesianRidge
from sklearn.model_selection import KFold, cross_val_predict

from varbump.cli.errors import UserError
from varbump.cli.learning import learn, library_errors, settings_of
from varbump.cli.scoring import LEVEL, Scores, inputs_of, normal_scores
from varbump.core.interrupts import safe_point
from varbump.core.printed import Table
from varbump.scores import evaluate

__all__ = ["cross_validated", "table_of"]

OURS = "varbump"

INNER_FOLDS = 5
"""Folds of the training rows, for the errors of models that have no noise of their own."""

FEWEST_ROWS = 10
"""Training rows of a fold."""


class _Fold(NamedTuple):
    """Scores of one model on the rows of one fold."""

    scores: Scores
    log_density: np.ndarray  # of each row, nats
    seconds: float


def cross_validated(
    rows: Any, options: dict[str, Any], folds: int, say: Callable[[str], None] = lambda text: None
) -> dict[str, Any]:
    """Predict each fold by models that were trained with the others.

    Parameters
    ----------
    rows : Rows
    options : dict
        Those of `varbump.cli.options.of_model`.
    folds : int
        K.
    say : callable
        Told what is under way.

    Returns
    -------
    dict
        ``rows``, ``folds``, and ``scores``: for each model, means over the rows, ``seconds`` of a fit, and
        ``less``, the log density less that of this package's model, mean over rows and standard error, nats.

    Raises
    ------
    UserError
        If there are too few rows for so many folds, or a fit fails.
    """
    if len(rows.x) < folds or len(rows.x) * (folds - 1) < FEWEST_ROWS * folds:
        raise UserError(
            f"{len(rows.x)} rows are too few for --folds {folds}: each must leave {FEWEST_ROWS} to learn from"
        )
    results: dict[str, list[_Fold]] = {}
    splits = KFold(folds, shuffle=True, random_state=options["seed"]).split(np.empty(len(rows.x)))
    for number, (train, test) in enumerate(splits, start=1):
        for name, fold in _folds(rows, number, train, test, options, say):
            results.setdefault(name, []).append(fold)
    log_density = {name: np.concatenate([fold.log_density for fold in of]) for name, of in results.items()}
    scores = {}
    for name, of_model in results.items():
        shares = [len(fold.log_density) for fold in of_model]
        means = Scores(*np.average([fold.scores for fold in of_model], axis=0, weights=shares).tolist())
        less = log_density[name] - log_density[OURS]
        scores[name] = {
            **means._asdict(),
            "seconds": float(np.mean([fold.seconds for fold in of_model])),
            "less": [float(less.mean()), float(less.std(ddof=1) / np.sqrt(len(less)))],
        }
    return {"rows": len(rows.x), "folds": folds, "scores": scores}


def table_of(result: dict[str, Any]) -> list[Any]:
    """Parts to print: a table, and who is ahead."""
    table = Table(
        title=f"{result['rows']:,} rows, each predicted by models that have not seen it", title_justify="left"
    )
    table.add_column("")
    for heading in ("RMSE", "log-lik.", "difference", "CRPS", "in 95 %", "seconds"):  # 80 columns hold no longer ones
        table.add_column(heading, justify="right")
    for name, of in result["scores"].items():
        mean, error = of["less"]
        less = "" if name == OURS else f"{mean:.3f} ± {error:.3f}"
        inside = f"{100 * of['coverage_95']:.1f} %"
        numbers = [f"{of[key]:.4g}" for key in ("rmse", "log_likelihood")]
        table.add_row(name, *numbers, less, f"{of['crps']:.4g}", inside, f"{of['seconds']:.2g}")
    best = max(result["scores"], key=lambda name: result["scores"][name]["log_likelihood"])
    return [
        table,
        f"RMSE and CRPS in units of the target, smaller is better. Log-likelihood in nats a row, larger is better, and "
        f"its difference from that of {OURS}, with a standard error: {best} is ahead. Share of rows in the 95 % "
        f"interval. Seconds of one fit.",
    ]


def _folds(
    rows: Any, number: int, train: np.ndarray, test: np.ndarray, options: dict[str, Any], say: Callable[[str], None]
) -> Iterator[tuple[str, _Fold]]:
    x, y, x_new, y_new = rows.x[train], rows.y[train], rows.x[test], rows.y[test]
    say(f"fold {number}: {OURS}")
    began = time.perf_counter()
    model = learn(settings_of(options, 0), x, y)
    seconds = time.perf_counter() - began
    with library_errors():
        found = evaluate(model, x_new, y_new, levels=(LEVEL,))
        ours = Scores(found.rmse, found.log_likelihood, found.crps, found.coverage[LEVEL])
        log_density = model.log_predictive_density(x_new, y_new)
        inputs, inputs_new = inputs_of(model, x), inputs_of(model, x_new)
    yield OURS, _Fold(ours, log_density, seconds)
    for name, make in PEERS.items():
        safe_point()
        say(f"fold {number}: {name}")
        began = time.perf_counter()
        peers = [make(options["seed"]).fit(inputs, target) for target in y.T]
        seconds = time.perf_counter() - began
        parts = [_moments(peer, inputs, target, inputs_new) for peer, target in zip(peers, y.T, strict=True)]
        mean, sd = (np.stack(part, axis=1) for part in zip(*parts, strict=True))
        yield name, _Fold(normal_scores(mean, sd, y_new), norm.logpdf(y_new, mean, sd).sum(axis=1), seconds)


PEERS: dict[str, Callable[[int], Any]] = {
    "line": lambda seed: BayesianRidge(),
    "forest": lambda seed: RandomForestRegressor(200, oob_score=True, random_state=seed),
    "boosting": lambda seed: HistGradientBoostingRegressor(random_state=seed),
}


def _moments(peer: Any, x: np.ndarray, y: np.ndarray, x_new: np.ndarray) -> Sequence[np.ndarray]:
    """Mean and sd of y at new rows."""
    if isinstance(peer, BayesianRidge):
        return peer.predict(x_new, return_std=True)
    unseen = getattr(peer, "oob_prediction_", None)
    if unseen is None:
        unseen = cross_val_predict(peer, x, y, cv=KFold(INNER_FOLDS, shuffle=True, random_state=0))
    sd = max(float(np.sqrt(np.mean((y - unseen) ** 2))), np.finfo(float).tiny ** 0.25)
    return peer.predict(x_new), np.full(len(x_new), sd)
