"""Scores on held-out rows, beside those of two baselines: a constant and a line."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.stats import norm
from scoringrules import crps_normal
from sklearn.linear_model import BayesianRidge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from varbump.core.printed import Table
from varbump.scores import Evaluation, evaluate

__all__ = ["LEVEL", "MOST_ROWS", "Scores", "inputs_of", "judge", "normal_scores", "score_table"]

MOST_ROWS = 10_000
"""Largest number of held-out rows that are scored, chosen at random."""

LEVEL = 0.95


class Scores(NamedTuple):
    """Scores of one model: means over rows and targets; the log-likelihood is joint over targets."""

    rmse: float
    log_likelihood: float
    crps: float
    coverage_95: float


def judge(model: Any, x: Any, y: np.ndarray, x_new: Any, y_new: np.ndarray) -> tuple[Evaluation, dict[str, Scores]]:
    """Score a regressor on held-out rows, beside baselines fitted to the same training rows.

    Parameters
    ----------
    model : VariationalRegressor
        Fitted.
    x, y : ndarray or Frame (N, D), ndarray (N, Q)
        Training rows.
    x_new, y_new : ndarray or Frame (M, D), ndarray (M, Q)
        Held-out rows.
    """
    evaluation = evaluate(model, x_new, y_new)
    mean, sd = np.broadcast_to(y.mean(axis=0), y_new.shape), np.broadcast_to(y.std(axis=0), y_new.shape)
    scores = {
        "varbump": Scores(
            evaluation.rmse, evaluation.log_likelihood, evaluation.crps, evaluation.coverage[evaluation.levels[-1]]
        ),
        "linear": normal_scores(*_linear(_numbers(model, x), y, _numbers(model, x_new)), y_new),
        "constant": normal_scores(mean, sd, y_new),
    }
    return evaluation, scores


def score_table(scores: dict[str, Scores], num_rows: int) -> Table:
    """Return the scores as a table for the terminal."""
    table = Table(title=f"{num_rows:,} held-out rows", title_justify="left")
    table.add_column("")
    for heading in ("RMSE", "log-likelihood", "CRPS", "in 95 % interval"):
        table.add_column(heading, justify="right")
    for name, of_model in scores.items():
        numbers = [f"{value:.4g}" for value in of_model[:3]]
        table.add_row(name, *numbers, f"{100 * of_model.coverage_95:.1f} %")
    return table


def inputs_of(model: Any, x: Any) -> np.ndarray:
    """The standardised numbers that a regressor makes of the columns of a table (N, D'), without an embedding."""
    return model.predict_dist(x).inputs[:, : len(model.get_feature_names_out())]


def _numbers(model: Any, x: Any) -> np.ndarray:
    """Rows as numbers, those of the model if they are not numbers already."""
    return x if isinstance(x, np.ndarray) and not np.isnan(x).any() else inputs_of(model, x)


def _linear(x: np.ndarray, y: np.ndarray, x_new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    means, sds = [], []
    for target in y.T:
        line = make_pipeline(StandardScaler(), BayesianRidge()).fit(x, target)
        mean, sd = line.predict(x_new, return_std=True)
        means.append(mean)
        sds.append(sd)
    return np.stack(means, axis=1), np.stack(sds, axis=1)


def normal_scores(mean: np.ndarray, sd: np.ndarray, y: np.ndarray) -> Scores:
    """Scores of normal predictions, of mean and sd (M, Q)."""
    sd = np.maximum(sd, np.finfo(float).tiny ** 0.25)  # a perfect fit has sd 0
    inside = np.abs(y - mean) <= norm.ppf(0.5 + LEVEL / 2) * sd
    return Scores(
        rmse=float(np.sqrt(np.mean((y - mean) ** 2, axis=0)).mean()),
        log_likelihood=float(norm.logpdf(y, mean, sd).sum(axis=1).mean()),
        crps=float(crps_normal(y, mean, sd).mean()),
        coverage_95=float(inside.mean()),
    )
