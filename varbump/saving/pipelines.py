"""Regressors inside of pipelines, transformed targets and searches of scikit-learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import sklearn
from sklearn.compose import TransformedTargetRegressor
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline

from varbump.estimator import VariationalRegressor
from varbump.saving.allowed import Refused
from varbump.saving.regressors import make_regressor, regressor_arrays, regressor_configuration, regressor_shapes
from varbump.saving.shapes import Shape
from varbump.saving.transformers import Reader, Writer, check_version, refuse_step
from varbump.saving.values import decode_value, encode_value

__all__ = ["PartOfArchive", "WRAPPERS", "encode_pipeline", "make_pipeline", "pipeline_shapes"]

WRAPPERS = (Pipeline, TransformedTargetRegressor, BaseSearchCV)

STEPS = "steps/"
"""Beginning of the names of the arrays of transformers."""


class PartOfArchive(NamedTuple):
    """A model inside of an archive of another one."""

    configuration: dict[str, Any]
    declared: Mapping[str, Any]
    array: Callable[[str], np.ndarray]


def encode_pipeline(model: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Configuration and arrays of a fitted estimator around a regressor; of a search, those of its best estimator.

    Raises
    ------
    Refused
        If a step cannot be saved, or there is not one fitted regressor.
    """
    fitted: list[VariationalRegressor] = []

    def leaf(value: Any, where: str) -> Any:
        if isinstance(value, BaseSearchCV):
            if not hasattr(value, "best_estimator_"):
                raise Refused(f"{where or 'it'} has not been fitted, or not with refit=True")
            return writer.encode(value.best_estimator_, where)
        if type(value) is VariationalRegressor and hasattr(value, "network_"):
            if fitted and fitted[0] is not value:
                raise Refused("it holds two fitted regressors")
            fitted[:] = [value]
            return {"fitted": True}
        if type(value) is VariationalRegressor:
            parameters = value.get_params(deep=False)
            return {"regressor": {key: encode_value(entry, f"{where}, {key}") for key, entry in parameters.items()}}
        if isinstance(value, np.random.RandomState):
            return encode_value(value, where)
        return refuse_step(value, where)

    writer = Writer(leaf)
    encoded = writer.encode(model, "")
    if not fitted:
        raise Refused("it holds no fitted VariationalRegressor; fit it first")
    configuration = {
        "model": encoded,
        "regressor": regressor_configuration(fitted[0]),
        "scikit_learn": sklearn.__version__,
    }
    return configuration, {**regressor_arrays(fitted[0]), **writer.arrays}


def pipeline_shapes(configuration: dict[str, Any], declared: Mapping[str, Any]) -> dict[str, Shape]:
    """Names and shapes of the arrays: those of the regressor are implied, those of transformers are as declared."""
    regressor = configuration.get("regressor")
    if not isinstance(regressor, dict):
        raise Refused("it has no regressor")
    own = {name: entry for name, entry in declared.items() if not name.startswith(STEPS)}
    steps = {name: entry.shape for name, entry in declared.items() if name.startswith(STEPS)}
    return {**regressor_shapes(regressor, own), **steps}


def make_pipeline(archive: Any) -> Any:
    """Make the estimator of an archive whose shapes have been checked."""
    configuration = archive.configuration
    regressor = make_regressor(PartOfArchive(configuration["regressor"], archive.declared, archive.array))

    def array(name: str) -> np.ndarray:
        if name not in archive.declared:
            raise Refused(f"it has no array {name:.40}")
        return archive.array(name)

    def leaf(value: Any, where: str) -> Any:
        if value == {"fitted": True}:
            return regressor
        if isinstance(value, dict) and list(value) == ["regressor"] and isinstance(value["regressor"], dict):
            made = {key: decode_value(entry, f"{where}, {key}") for key, entry in value["regressor"].items()}
            return VariationalRegressor(**made)
        if isinstance(value, dict) and list(value) == ["RandomState"]:
            return decode_value(value, where)
        raise Refused(f"{where or 'the model'} must not be {str(value):.60}")

    made = Reader(leaf, array).decode(configuration.get("model"), "")
    if not isinstance(made, WRAPPERS):
        raise Refused("it is no pipeline")
    check_version(configuration.get("scikit_learn"))
    return made
