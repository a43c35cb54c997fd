"""A model of any kind as a predictive distribution, with the data to score it on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from varbump.core.checks import check_array, check_rows_match
from varbump.core.keras import keras
from varbump.core.temperature import temperature_of
from varbump.model.checks import check_data
from varbump.predict.distribution import PredictiveDistribution
from varbump.predict.sampler import DrawSource
from varbump.predict.units import with_likelihood
from varbump.predict.wrapped import predict_dist

__all__ = ["Scored", "scored_of"]


@dataclass(frozen=True)
class Scored:
    """A predictive distribution and the data to score it on.

    Attributes
    ----------
    distribution : PredictiveDistribution
        Of all rows, in the user's units.
    y : ndarray (N, Q)
        Observations, float64.
    temperature : float
        Temperature at which the model was trained.
    """

    distribution: PredictiveDistribution
    y: np.ndarray
    temperature: float


def scored_of(model: Any, x: Any, y: Any, likelihood: Any, num_draws: int, seed: int | None) -> Scored:
    """Bring a model of any kind and its data into one form; the arguments are those of `evaluate`."""
    source, likelihood = with_likelihood(model, likelihood, x)
    distribution = predict_dist(source, x, likelihood=likelihood, num_draws=num_draws, seed=seed)
    exact = check_array(y, "y", "float64")  # not rounded to the type of the network
    if isinstance(source, (keras.Model, DrawSource)):
        network = source if isinstance(source, keras.Model) else source.network
        check_data(network, getattr(source, "likelihood", None) if likelihood is None else likelihood, x, y)
        if exact.ndim != 2:
            raise ValueError(f"y must have shape (N,) or (N, Q), got {exact.shape}")
        return Scored(distribution, exact, temperature_of(model))
    check_rows_match(distribution.inputs, exact)
    count = distribution.num_targets
    if exact.shape != (len(exact), count):
        raise ValueError(f"y must have {count} columns, one for each target of the fit, got shape {exact.shape}")
    return Scored(distribution, exact, temperature_of(distribution.predictive.source))
