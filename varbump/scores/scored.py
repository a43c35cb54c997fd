"""A model of any kind as a predictive distribution, with the data to score it on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from varbump.core.checks import check_array, check_rows_match
from varbump.core.keras import keras
from varbump.core.random import host_seed
from varbump.core.standardised import warn_of_raw
from varbump.core.temperature import temperature_of
from varbump.model.checks import check_data, check_inputs
from varbump.predict.predictive import Predictive, predictive_of
from varbump.predict.units import with_likelihood

__all__ = ["Scored", "inputs_of", "scored_of"]


@dataclass(frozen=True)
class Scored:
    """A predictive distribution and the data to score it on.

    Attributes
    ----------
    predictive : Predictive
    x, y : ndarray (N, D), (N, Q)
        Inputs as `predictive` takes them; observations in the user's units, float64.
    shift, unit : ndarray (Q,)
        ``shift + unit * z`` is in the units of y where z is in those of `predictive`.
    temperature : float
    """

    predictive: Predictive
    x: np.ndarray
    y: np.ndarray
    shift: np.ndarray
    unit: np.ndarray
    temperature: float


def scored_of(model: Any, x: Any, y: Any, likelihood: Any, num_draws: int, seed: int | None) -> Scored:
    """Bring a model of any kind and its data into one form; the arguments are those of `evaluate`."""
    if hasattr(model, "_predictive_of"):  # an estimator; its package ranks beside this one and cannot be imported
        if likelihood is not None:
            raise TypeError("likelihood must be left out for an estimator, which has learned its own")
        predictive, inputs, shift, unit = model._predictive_of(x)
        y = check_array(y, "y", "float64")
        check_rows_match(inputs, y)
        if y.shape != (len(inputs), len(unit)):
            raise ValueError(f"y must have {len(unit)} columns, one for each target of the fit, got shape {y.shape}")
        return Scored(predictive, inputs, y, shift, unit, temperature_of(model.ensemble_))
    seed = host_seed(seed)
    source, likelihood = with_likelihood(model, likelihood, x)
    predictive = predictive_of(source, likelihood, num_draws, seed)
    network = source if isinstance(source, keras.Model) else source.network
    x = inputs_of(source, x)
    warn_of_raw(network, x)
    if not network.built:
        network(x[:1])
    check_data(network, source.likelihood if likelihood is None else likelihood, x, y)
    exact = check_array(y, "y", "float64")  # not rounded to the type of the network
    if exact.ndim != 2:
        raise ValueError(f"y must have shape (N,) or (N, Q), got {exact.shape}")
    num_targets = exact.shape[1]
    return Scored(predictive, x, exact, np.zeros(num_targets), np.ones(num_targets), temperature_of(model))


def inputs_of(model: Any, x: Any) -> np.ndarray:
    """Rows x (N, D) in the form that the `Predictive` of the model takes."""
    if hasattr(model, "_predictive_of"):
        return model._predictive_of(x)[1]
    return check_inputs(model if isinstance(model, keras.Model) else model.network, x)
