"""Predictive distributions of models of any kind, also inside of pipelines and searches of scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.compose import TransformedTargetRegressor
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from varbump.core.keras import is_built, keras
from varbump.core.random import host_seed
from varbump.core.standardised import warn_of_raw
from varbump.model.checks import check_inputs
from varbump.predict.conformal import check_calibration, conformal_interval
from varbump.predict.distribution import PredictiveDistribution
from varbump.predict.predictive import predictive_of
from varbump.predict.target_map import TargetMap
from varbump.predict.units import with_likelihood

__all__ = ["innermost", "predict_dist", "predict_interval", "predict_quantiles", "takes_frames"]


def predict_dist(
    model: Any, X: Any, *, likelihood: Any = None, num_draws: int = 400, seed: int | None = 0
) -> PredictiveDistribution:
    """Predict the distribution of y at each row, by a model of any kind.

    Parameters
    ----------
    model : tf_keras.Model, source of draws, or estimator
        A network, an ensemble or draws; a fitted `varbump.VariationalRegressor`; or a scikit-learn `Pipeline`,
        `TransformedTargetRegressor`, `GridSearchCV` or `RandomizedSearchCV` around one, in any nesting. The result is
        in the units of y as it was passed to `fit`: quantiles are mapped back exactly, and densities with the slope of
        the transform.
    X : array-like or data frame (N, D)
        Rows, in the form that the model takes.
    likelihood : likelihood, optional
        The one used in training, for a network; ensembles, estimators and networks that end in a distribution of y have
        their own.
    num_draws : int, default=400
        S; rounded up to a multiple of the members of an ensemble, and at most what a source has stored. Estimators
        use their own number.
    seed : int, optional
        Seed of the draws; estimators use their own.

    Returns
    -------
    PredictiveDistribution
        Has `cdf`, `ppf`, `interval`, `log_pdf`, `mean`, `std` and `rvs`.

    Raises
    ------
    ValueError
        If X does not fit the model, or a transform of y does not increase.
    TypeError
        If the model is not one of these, or a likelihood is missing, or passed for an estimator.
    sklearn.exceptions.NotFittedError
        If an estimator has not been fitted.
    """
    if takes_frames(model):
        if likelihood is not None:
            raise TypeError("likelihood must be left out for an estimator, which has learned its own")
        return _of_estimator(model, X)
    source, likelihood = with_likelihood(model, likelihood, X)
    predictive = predictive_of(source, likelihood, num_draws, host_seed(seed))
    network = source if isinstance(source, keras.Model) else source.network
    x = check_inputs(network, X)
    warn_of_raw(network, x)
    if not is_built(network):
        network(x[:1])
    return PredictiveDistribution(predictive, x, 0.0, 1.0, given=X)


def predict_quantiles(
    model: Any,
    X: Any,
    quantiles: Sequence[float] = (0.05, 0.5, 0.95),
    *,
    likelihood: Any = None,
    num_draws: int = 400,
    seed: int | None = 0,
) -> np.ndarray:
    """Predict quantiles of y at each row, noise included, by a model of any kind.

    Parameters
    ----------
    model, X, likelihood, num_draws, seed
        As in `varbump.predict_dist`.
    quantiles : sequence of float (L,), default=(0.05, 0.5, 0.95)
        In (0, 1).

    Returns
    -------
    ndarray (N, L) or (N, L, Q)
        Units of y; the former for an estimator that was fitted to a one-dimensional y.

    Raises
    ------
    ValueError, TypeError
        As `varbump.predict_dist`; also if a quantile is not between 0 and 1.
    """
    return predict_dist(model, X, likelihood=likelihood, num_draws=num_draws, seed=seed).ppf(quantiles)


def predict_interval(
    model: Any,
    X: Any,
    coverage: Any = 0.95,
    *,
    calibration: Any = None,
    likelihood: Any = None,
    num_draws: int = 400,
    seed: int | None = 0,
) -> Any:
    """Predict an equal-tailed interval of y for each row, or several, noise included, by a model of any kind.

    Parameters
    ----------
    model, X, likelihood, num_draws, seed
        As in `varbump.predict_dist`.
    coverage : float or sequence of float, default=0.95
        Probability content of the interval, in (0, 1); a sequence of them asks for several intervals at once.
    calibration : (X, y), optional
        Rows that the model was not trained on. The interval is then widened or narrowed so that it covers a new y with
        at least this probability, whatever the model, if these rows and the new one are exchangeable; on average over
        rows, not for each of them. A coverage c takes at least c / (1 - c) rows: 19 for 0.95.

    Returns
    -------
    ndarray (N, 2) or (N, 2, Q)
        Lower and upper ends, units of y; the former for an estimator that was fitted to a one-dimensional y. For a
        sequence, a dict of such arrays by coverage.

    Raises
    ------
    ValueError, TypeError
        As `varbump.predict_dist`; also if `coverage` is not between 0 and 1, or `calibration` is no pair or has too few
        rows.

    References
    ----------
    Romano, Patterson and Candès (2019), "Conformalized Quantile Regression", with scores relative to the width.
    """
    distribution = predict_dist(model, X, likelihood=likelihood, num_draws=num_draws, seed=seed)
    if calibration is None:
        return distribution.interval(coverage)
    rows, observed = check_calibration(calibration)
    reference = predict_dist(model, rows, likelihood=likelihood, num_draws=num_draws, seed=seed)
    return conformal_interval(distribution, coverage, reference, observed)


def takes_frames(model: Any) -> bool:
    """Whether a model is an estimator, which takes data frames and has a likelihood of its own."""
    return hasattr(model, "predict_dist") or isinstance(model, BaseEstimator)


def innermost(model: Any) -> Any:
    """The regressor inside of a fitted estimator that `predict_dist` takes; any other model as it is."""
    while not hasattr(model, "_predictive_of"):
        if isinstance(model, Pipeline):
            model = model.steps[-1][1]
        elif isinstance(model, BaseSearchCV):
            model = model.best_estimator_
        elif isinstance(model, TransformedTargetRegressor):
            model = model.regressor_
        else:
            break
    return model


def _of_estimator(model: Any, X: Any) -> PredictiveDistribution:
    """Unwrap an estimator down to the regressor that has a predictive distribution."""
    if hasattr(model, "predict_dist"):
        return model.predict_dist(X)
    if isinstance(model, Pipeline):
        for _, step in model.steps[:-1]:
            if step is not None and step != "passthrough":
                X = step.transform(X)
        return _of_estimator(model.steps[-1][1], X)
    if isinstance(model, BaseSearchCV):
        check_is_fitted(model)
        if not hasattr(model, "best_estimator_"):
            raise ValueError(f"the {type(model).__name__} has not refitted its best estimator; pass refit=True")
        return _of_estimator(model.best_estimator_, X)
    if isinstance(model, TransformedTargetRegressor):
        check_is_fitted(model)
        single_target = model._training_dim == 1
        return _of_estimator(model.regressor_, X).through(TargetMap(model.transformer_), single_target)
    raise TypeError(
        f"model must be a VariationalRegressor, or a Pipeline, TransformedTargetRegressor, GridSearchCV or "
        f"RandomizedSearchCV around one, but it holds {_named(model)}, which has no predictive distribution"
    )


def _named(model: Any) -> str:
    return repr(model) if isinstance(model, str) else f"a {type(model).__name__}"
