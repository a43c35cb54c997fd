"""Scores of predictive distributions for `cross_val_score`, `GridSearchCV` and the like."""

from __future__ import annotations

import re
from typing import Any

from varbump.scores.held_out import evaluate

__all__ = ["Scorer", "scorer"]

SIGNS = {"log_likelihood": 1.0, "crps": -1.0, "rmse": -1.0}
"""Scores without a level, and -1 where smaller is better."""

OF_LEVEL = {"coverage": 1.0, "interval_score": -1.0, "sharpness": -1.0}
"""Scores of the intervals of one level."""

WITH_LEVEL = re.compile(rf"({'|'.join(OF_LEVEL)})_(\d+(?:\.\d+)?)")


class Scorer:
    """Callable ``(estimator, X, y) -> float``, as `sklearn.metrics.make_scorer` makes them; can be pickled.

    Parameters
    ----------
    name : str
        See `scorer`.
    """

    def __init__(self, name: str) -> None:
        match = WITH_LEVEL.fullmatch(name) if isinstance(name, str) else None
        level = float(match[2]) / 100.0 if match else None
        known_name = isinstance(name, str) and name in SIGNS
        if not known_name and (level is None or not 0.0 < level < 1.0):
            known = ", ".join([*SIGNS, *(f"{each}_95" for each in OF_LEVEL)])
            raise ValueError(f"name must be one of {known}, with any level in percent, got {name!r}")
        self._name, self._level = name, level

    def __call__(self, estimator: Any, X: Any, y: Any) -> float:
        """Score a fitted estimator on held-out rows; greater is better."""
        if self._level is None:
            return SIGNS[self._name] * getattr(evaluate(estimator, X, y, levels=(0.5,)), self._name)
        what = self._name.rpartition("_")[0]
        return OF_LEVEL[what] * getattr(evaluate(estimator, X, y, levels=(self._level,)), what)[self._level]

    def __repr__(self) -> str:
        return f"varbump.scorer({self._name!r})"


def scorer(name: str) -> Scorer:
    """Make a scorer for ``cross_val_score(..., scoring=...)`` and searches, through pipelines too.

    Greater is better, as scikit-learn expects: "crps", "rmse", "interval_score_95" and "sharpness_95" are negated.
    Coverage and sharpness describe intervals and cannot choose among models by themselves: the widest intervals cover
    most.

    Parameters
    ----------
    name : str
        "log_likelihood", in nats per row; "crps" or "rmse", in units of y; "coverage_95", "interval_score_95" or
        "sharpness_95" of the intervals of that level in percent, such as also "coverage_99.5". See
        `varbump.Evaluation`.

    Returns
    -------
    Scorer
        Callable with ``(estimator, X, y)``.

    Raises
    ------
    ValueError
        If the name is unknown.

    Examples
    --------
    >>> import varbump as vb
    >>> vb.scorer("crps")
    varbump.scorer('crps')
    """
    return Scorer(name)
