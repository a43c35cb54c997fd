"""Recalibrated models: a model of another kind, and the maps of its levels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from varbump.core.checks import check_count
from varbump.core.random import host_seed
from varbump.saving.allowed import Refused
from varbump.saving.forms import FORMS, SavedModel, encoded_model
from varbump.saving.pipelines import PartOfArchive
from varbump.saving.shapes import Shape, whole_number
from varbump.scores import QuantileRecalibration, RecalibratedModel

__all__ = ["encode_recalibrated", "make_recalibrated", "recalibrated_shapes"]

MAPS = "maps/"


def encode_recalibrated(model: RecalibratedModel) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Configuration and arrays of a recalibrated model.

    Raises
    ------
    Refused
        If it has not been fitted, or its model cannot be saved.
    """
    if not hasattr(model, "maps_"):
        raise Refused("it has not been fitted yet")
    try:
        kind, configuration, arrays = encoded_model(model.model, model.likelihood, FORMS)
    except (TypeError, ValueError) as error:
        raise Refused(f"its model: {error}") from error
    maps = {f"{MAPS}{index}": one.thresholds for index, one in enumerate(model.maps_)}
    return {
        "kind": kind,
        "model": configuration,
        "num_data": [one.num_data for one in model.maps_],
        "num_draws": int(model.num_draws),
        "seed": None if model.seed is None else int(model.seed),
        "drawn_seed": model._seed,
        "single_target": model._single_target,
        "num_features": model.n_features_in_,
    }, {**arrays, **maps}


def recalibrated_shapes(configuration: dict[str, Any], declared: Mapping[str, Any]) -> dict[str, Shape]:
    """Names and shapes of the arrays: those of the model are implied, maps have two rows."""
    form, inner = FORMS.get(str(configuration.get("kind"))), configuration.get("model")
    counts = configuration.get("num_data")
    if form is None or not isinstance(inner, dict) or not isinstance(counts, list) or not counts:
        raise Refused("it does not say which model was recalibrated")
    own = {name: entry for name, entry in declared.items() if not name.startswith(MAPS)}
    shapes = form.shapes(inner, own)
    for name in (f"{MAPS}{index}" for index in range(len(counts))):
        width = declared[name].shape[-1] if name in declared and declared[name].shape else 0
        shapes[name] = (2, width)
    return shapes


def make_recalibrated(archive: Any) -> RecalibratedModel:
    """Make the recalibrated model of an archive whose shapes have been checked."""
    configuration = archive.configuration
    model = FORMS[configuration["kind"]].make(PartOfArchive(configuration["model"], archive.declared, archive.array))
    likelihood = None
    if isinstance(model, SavedModel):
        model, likelihood = model
    seed = configuration.get("seed")
    made = RecalibratedModel(
        model,
        likelihood=likelihood,
        num_draws=check_count(configuration.get("num_draws"), "num_draws", 2),
        seed=None if seed is None else host_seed(seed),
    )
    counts = [check_count(count, "num_data") for count in configuration["num_data"]]
    made.maps_ = tuple(
        QuantileRecalibration.of_thresholds(archive.array(f"{MAPS}{index}"), count)
        for index, count in enumerate(counts)
    )
    made._seed = whole_number(configuration, "drawn_seed", "the recalibrated model", 0)
    made._single_target = configuration.get("single_target") is True
    made.n_features_in_ = whole_number(configuration, "num_features", "the recalibrated model")
    return made
