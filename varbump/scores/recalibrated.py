"""Models with quantiles that were corrected on a validation set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from varbump.core.checks import check_shares, intervals
from varbump.core.estimator_tags import SeveralTargets
from varbump.core.random import host_seed
from varbump.predict.distribution import PredictiveDistribution
from varbump.predict.predictive import uniform_of
from varbump.predict.wrapped import predict_dist
from varbump.scores.recalibrated_mixture import RecalibratedMixture
from varbump.scores.recalibration import MIN_ROWS, QuantileRecalibration
from varbump.scores.scored import scored_of

__all__ = ["RecalibratedModel", "recalibrate"]


class RecalibratedModel(SeveralTargets, RegressorMixin, BaseEstimator):
    """A model with corrected quantiles, as a scikit-learn estimator; the result of `varbump.recalibrate`.

    `fit` learns the correction only: the model has been trained before, on other rows. `sklearn.base.clone` therefore
    keeps the model as it is, and forgets the correction.

    Parameters
    ----------
    model
        A trained model of any kind that `varbump.evaluate` takes.
    likelihood, num_draws, seed
        As in `varbump.evaluate`.

    Attributes
    ----------
    maps_ : tuple of QuantileRecalibration
        One for each target; also called `maps`.
    n_features_in_ : int
    """

    def __init__(self, model: Any, *, likelihood: Any = None, num_draws: int = 400, seed: int | None = 0) -> None:
        self.model, self.likelihood, self.num_draws, self.seed = model, likelihood, num_draws, seed

    def fit(self, X: Any, y: Any) -> RecalibratedModel:
        """Learn the correction from a validation set: rows that the model was not trained on.

        Parameters
        ----------
        X, y : array-like (N, D), (N,) or (N, Q)

        Raises
        ------
        ValueError, TypeError
            As `varbump.evaluate`; also if there are fewer than 20 rows.
        """
        seed = host_seed(self.seed)
        scored = scored_of(self.model, X, y, self.likelihood, self.num_draws, seed)
        if len(scored.y) < MIN_ROWS:
            raise ValueError(f"y has {len(scored.y)} rows; recalibration needs at least {MIN_ROWS}, better hundreds")
        parts = []
        for rows, mixture in scored.distribution.blocks():
            observed = scored.y[rows]
            parts.append(mixture.pit(observed, uniform_of(rows, observed.shape[1])[: len(observed)]))
        self.maps_ = tuple(QuantileRecalibration(column) for column in np.concatenate(parts).T)
        self._seed, self._single_target = seed, np.ndim(y) == 1
        shape = np.shape(X)
        self.n_features_in_ = shape[1] if len(shape) > 1 else 1
        return self

    @property
    def maps(self) -> tuple[QuantileRecalibration, ...]:
        """Corrections, one for each target."""
        return self.maps_

    def predict(self, X: Any) -> np.ndarray:
        """Predict as the model does; for a network or draws, the mean of its predictive distribution.

        Parameters
        ----------
        X : array-like (N, D)
            In the form that the model takes.

        Returns
        -------
        ndarray (N,) or (N, Q)
            Units of y.
        """
        check_is_fitted(self, "maps_")
        if isinstance(self.model, BaseEstimator):
            return self.model.predict(X)
        mean = self._before(X).mean()
        return mean[:, 0] if self._single_target else mean

    def predict_dist(self, X: Any) -> PredictiveDistribution:
        """Predict the recalibrated distribution of y at each row.

        Its density is that of the model times the slope of the correction, a broken line through the validation rows:
        its logarithm scores worse than that of a smooth correction would.

        Parameters
        ----------
        X : array-like (N, D)
            In the form that the model takes.

        Returns
        -------
        PredictiveDistribution
        """
        check_is_fitted(self, "maps_")
        maps = self.maps_
        return self._before(X).through(lambda mixture, _: RecalibratedMixture(mixture, maps), self._single_target)

    def predict_quantiles(self, x: Any, quantiles: Sequence[float] = (0.05, 0.5, 0.95)) -> np.ndarray:
        """Predict recalibrated quantiles of y.

        Parameters
        ----------
        x : array-like (N, D)
            In the form that the model takes.
        quantiles : sequence of float (L,), default=(0.05, 0.5, 0.95)
            In (0, 1). Below 1 / (N + 1) and above N / (N + 1), with N validation rows, they are extrapolated.

        Returns
        -------
        ndarray (N, L) or (N, L, Q)
            Units of y; the latter if y of the validation set was two-dimensional.

        Raises
        ------
        ValueError
            If a quantile is not between 0 and 1, or x does not fit the model.
        """
        return self.predict_dist(x).ppf(check_shares(quantiles, "quantiles"))

    def predict_interval(self, x: Any, coverage: Any = 0.95) -> Any:
        """Predict a recalibrated equal-tailed interval for each row, or several.

        Parameters
        ----------
        x : array-like (N, D)
        coverage : float or sequence of float, default=0.95
            Probability content of the interval, in (0, 1); a sequence of them asks for several intervals at once.

        Returns
        -------
        ndarray (N, 2) or (N, 2, Q)
            Lower and upper ends, units of y. For a sequence, a dict of such arrays by coverage.

        Raises
        ------
        ValueError
            If `coverage` is not between 0 and 1, or x does not fit the model.
        """
        return intervals(coverage, lambda tails: self.predict_quantiles(x, tails))

    def _before(self, X: Any) -> PredictiveDistribution:
        return predict_dist(
            self.model, X, likelihood=self.likelihood, num_draws=self.num_draws, seed=getattr(self, "_seed", self.seed)
        )

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "maps_")

    def __sklearn_clone__(self) -> RecalibratedModel:
        return type(self)(**self.get_params(deep=False))


def recalibrate(
    model: Any, x: Any, y: Any, *, likelihood: Any = None, num_draws: int = 400, seed: int | None = 0
) -> RecalibratedModel:
    """Correct the quantiles of a model on a validation set, so that its 95 % intervals contain 95 % of it.

    The correction is one monotone map of the levels for all x: it corrects the scale and shape of the noise, but not
    intervals that are too narrow in some regions and too wide in others (see `varbump.coverage_by_region`).

    Parameters
    ----------
    model, likelihood, num_draws, seed
        As in `varbump.evaluate`.
    x, y : array-like (N, D), (N,) or (N, Q)
        A validation set: rows used neither for training nor for scoring.

    Returns
    -------
    RecalibratedModel
        An estimator with `predict`, `predict_quantiles`, `predict_interval` and `predict_dist`; `varbump.evaluate` and
        `varbump.save` take it too.

    Raises
    ------
    ValueError, TypeError
        As `varbump.evaluate`; also if there are fewer than 20 rows.

    References
    ----------
    Kuleshov, Fenner and Ermon (2018), "Accurate Uncertainties for Deep Learning Using Calibrated Regression".
    """
    return RecalibratedModel(model, likelihood=likelihood, num_draws=num_draws, seed=seed).fit(x, y)
