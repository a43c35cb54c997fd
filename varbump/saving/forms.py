"""Kinds of models that an archive can hold, and the functions that write and read each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from varbump.core.keras import keras
from varbump.estimator import VariationalRegressor
from varbump.inference.ensemble.ensemble import Ensemble
from varbump.saving.ensembles import ensemble_arrays, ensemble_configuration, ensemble_shapes, make_ensemble
from varbump.saving.networks import assign, make_network, network_configuration, network_shapes, network_weights
from varbump.saving.pipelines import WRAPPERS, PartOfArchive, encode_pipeline, make_pipeline, pipeline_shapes
from varbump.saving.regressors import make_regressor, regressor_arrays, regressor_configuration, regressor_shapes
from varbump.saving.shapes import Shape
from varbump.saving.values import encoded_likelihood, likelihood_shapes_of, likelihood_weights, make_likelihood

__all__ = ["FORMS", "Form", "SavedModel", "encoded_model"]


class SavedModel(NamedTuple):
    """Network and likelihood that were saved together, returned by `varbump.load`.

    Attributes
    ----------
    network : tf_keras.Model
    likelihood : likelihood
    """

    network: keras.Model
    likelihood: Any


class Form(NamedTuple):
    """Functions that write and read one kind of model."""

    of: type | tuple[type, ...]
    encode: Callable[[Any], tuple[dict[str, Any], dict[str, np.ndarray]]]
    shapes: Callable[[dict[str, Any], Mapping[str, Any]], dict[str, Shape]]
    make: Callable[[Any], Any]


def encoded_model(
    model: Any, likelihood: Any, forms: Mapping[str, Form]
) -> tuple[str, dict[str, Any], dict[str, np.ndarray]]:
    """Kind, configuration and arrays of a model.

    Raises
    ------
    TypeError
        If it is of no kind that can be saved.
    ValueError
        If a likelihood is passed with a model that has its own.
    Refused
        If it holds something that cannot be saved.
    """
    kind = next((kind for kind, form in forms.items() if isinstance(model, form.of)), None)
    if kind is None:
        raise TypeError(
            f"model must be a network, an Ensemble, a VariationalRegressor, or a pipeline or search around one, got "
            f"{type(model).__name__}"
        )
    if likelihood is not None and not isinstance(model, keras.Model):
        raise ValueError(f"likelihood goes with a network; the model is a {type(model).__name__}, which holds its own")
    configuration, arrays = forms[kind].encode(model)
    if likelihood is not None:
        configuration["likelihood"] = encoded_likelihood(likelihood)
        arrays |= likelihood_weights(likelihood, "likelihood")
    return kind, configuration, arrays


def _network_shapes(configuration: dict[str, Any], declared: Mapping[str, Any]) -> dict[str, Shape]:
    shapes = network_shapes(configuration)
    if "likelihood" in configuration:
        shapes |= likelihood_shapes_of(configuration["likelihood"], "likelihood")
    return shapes


def _network(archive: PartOfArchive) -> Any:
    network = make_network(archive.configuration)
    assign(network, archive.array)
    if "likelihood" not in archive.configuration:
        return network
    return SavedModel(network, make_likelihood(archive.configuration["likelihood"], "likelihood", archive.array))


FORMS = {
    "network": Form(keras.Model, lambda m: (network_configuration(m), network_weights(m)), _network_shapes, _network),
    "ensemble": Form(
        Ensemble, lambda m: (ensemble_configuration(m), ensemble_arrays(m)), ensemble_shapes, make_ensemble
    ),
    "regressor": Form(
        VariationalRegressor,
        lambda m: (regressor_configuration(m), regressor_arrays(m)),
        regressor_shapes,
        make_regressor,
    ),
    "pipeline": Form(WRAPPERS, encode_pipeline, pipeline_shapes, make_pipeline),
}
