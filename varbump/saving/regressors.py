"""Fitted regressors: parameters, scalers, and trained ensembles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from varbump.estimator import VariationalRegressor
from varbump.saving.allowed import Refused
from varbump.saving.forests import forest_arrays, forest_shapes, make_forest
from varbump.saving.pools import make_pool, make_report, pool_arrays, pool_configuration, pool_shapes
from varbump.saving.shapes import Shape, whole_number
from varbump.saving.tables import (
    encoder_arrays,
    encoder_configuration,
    encoder_shapes,
    make_encoder,
    plain_encoder,
)
from varbump.saving.trained import check_names, make_trained, trained_arrays, trained_configuration, trained_shapes
from varbump.saving.values import decode_value, encode_value

__all__ = ["make_regressor", "regressor_arrays", "regressor_configuration", "regressor_shapes"]

SCALERS = ("x_scaler", "y_scaler")

MOMENTS = ("mean_", "var_", "scale_")
"""Fitted attributes of a scaler."""


def regressor_configuration(regressor: VariationalRegressor) -> dict[str, Any]:
    """Configuration of a regressor in an archive.

    Raises
    ------
    Refused
        If it has not been fitted, or if a parameter cannot be saved by name.
    """
    try:
        check_is_fitted(regressor, "network_")
    except NotFittedError as error:
        raise Refused("it has not been fitted yet") from error
    state = regressor.__getstate__()
    parameters = regressor.get_params(deep=False)
    pool = state["_pool"]
    names = state.get("feature_names_in_")
    return {
        "parameters": {key: encode_value(value, f"the parameter {key}") for key, value in parameters.items()},
        **trained_configuration(state["_trained"]),
        "pool": None if pool is None else pool_configuration(pool, state["stacking_"]),
        "embedding": None if state["embedding_"] is None else "forest",
        "feature_names": None if names is None else [str(name) for name in names],
        "table": encoder_configuration(state["encoder_"]),
        "rows_seen": [encode_value(state[f"{name}_"].n_samples_seen_, name) for name in SCALERS],
        "n_iter": int(state["n_iter_"]),
        "draw_seed": int(state["_draw_seed"]),
        "single_target": bool(state["_single_target"]),
        "num_data": state["parameter_report_"].num_data,
    }


def regressor_arrays(regressor: VariationalRegressor) -> dict[str, np.ndarray]:
    """Arrays: those of the candidates and of the forest, scalers, encoder, and noise."""
    arrays = trained_arrays(regressor._trained)
    if regressor._pool is not None and regressor.stacking_ is not None:
        arrays |= pool_arrays(regressor._pool, regressor.stacking_)
    if regressor.embedding_ is not None:
        arrays |= forest_arrays(regressor.embedding_)
    for name in SCALERS:
        scaler = getattr(regressor, f"{name}_")
        arrays |= {f"{name}/{moment.strip('_')}": np.asarray(getattr(scaler, moment), float) for moment in MOMENTS}
    arrays |= encoder_arrays(regressor.encoder_)
    return {**arrays, "noise_std": np.asarray(regressor.noise_std_, float)}


def regressor_shapes(configuration: dict[str, Any], declared: Mapping[str, Any]) -> dict[str, Shape]:
    """Names and shapes of the arrays for a configuration, which is checked at the same time."""
    shapes = trained_shapes(configuration, declared)
    arguments = configuration["arguments"]
    num_targets = whole_number(arguments, "num_outputs", "the argument num_outputs")
    for name, count in zip(SCALERS, (_num_encoded(configuration), num_targets), strict=True):
        shapes |= {f"{name}/{moment.strip('_')}": (count,) for moment in MOMENTS}
    if "table" in configuration:
        shapes |= encoder_shapes(configuration["table"], _num_encoded(configuration))
    if configuration.get("pool") is not None:
        shapes |= pool_shapes(configuration["pool"], arguments, declared)
    if configuration.get("embedding") is not None:
        shapes |= forest_shapes(num_targets, declared)
    single = configuration.get("single_target") is True
    if single and num_targets != 1:
        raise Refused(f"it has {num_targets} targets, but says that it has a single one")
    shapes["noise_std"] = () if single else (num_targets,)
    return shapes


def _num_encoded(configuration: dict[str, Any]) -> int:
    """Number of encoded features: inputs of the networks, less the two columns for each target of an embedding."""
    embedding, arguments = configuration.get("embedding"), configuration["arguments"]
    if embedding not in (None, "forest"):
        raise Refused(f"its embedding must be 'forest', got {embedding!r:.40}")
    num_inputs = whole_number(arguments, "num_features", "the argument num_features")
    num_features = num_inputs - (0 if embedding is None else 2 * arguments["num_outputs"])
    if num_features < 1:
        raise Refused("its networks have no inputs besides those of the embedding")
    return num_features


def make_regressor(archive: Any) -> VariationalRegressor:
    """Make the regressor of an archive whose shapes have been checked."""
    configuration, array = archive.configuration, archive.array
    encoded = configuration.get("parameters")
    if not isinstance(encoded, dict):
        raise Refused("it has no parameters")
    check_names(encoded, VariationalRegressor._get_param_names(), "parameter")
    parameters = {key: decode_value(value, f"the parameter {key}") for key, value in encoded.items()}
    regressor = VariationalRegressor(**parameters)
    regressor._validate_params()
    trained = make_trained(configuration, array, archive.declared)
    noise = array("noise_std")
    if (noise < 0.0).any():
        raise Refused("noise_std must not be negative")
    state = {
        **parameters,
        **_attributes(archive),
        "_trained": trained,
        "_pool": None,
        "_said": None,
        "_num_parts": 1,
        "stacking_": None,
        "embedding_": None,
        "history_": trained.ensemble.history,
        "noise_std_": float(noise) if noise.ndim == 0 else noise,
    }
    if configuration.get("pool") is not None:
        state["_pool"] = make_pool(configuration["pool"], trained, array, archive.declared)
        state["stacking_"] = make_report(configuration["pool"], array)
    if configuration.get("embedding") is not None:
        state["embedding_"] = make_forest(_num_encoded(configuration), array)
    regressor.__setstate__(state)
    num_data = whole_number(configuration, "num_data", "the regressor")
    regressor.parameter_report_ = regressor._report(num_data)
    return regressor


def _attributes(archive: Any) -> dict[str, Any]:
    """Fitted attributes besides the networks."""
    configuration, seen = archive.configuration, archive.configuration.get("rows_seen")
    if not isinstance(seen, list) or len(seen) != len(SCALERS):
        raise Refused("it does not say how many rows its scalers have seen")
    scalers = {
        f"{name}_": _scaler(archive, name, decode_value(rows, f"{name}, rows"))
        for name, rows in zip(SCALERS, seen, strict=True)
    }
    x_scaler, names = scalers["x_scaler_"], configuration.get("feature_names")
    if "table" in configuration:
        encoder = make_encoder(configuration["table"], archive.array)
        num_features = len(encoder.source)
    else:
        num_features = len(x_scaler.mean_)
    if names is not None:
        if not isinstance(names, list) or len(names) != num_features or not all(isinstance(n, str) for n in names):
            raise Refused(f"its feature names must be a list of {num_features} words")
        scalers["feature_names_in_"] = np.array(names, dtype=object)
    return {
        **scalers,
        "encoder_": encoder if "table" in configuration else plain_encoder(names, x_scaler),
        "n_features_in_": num_features,
        "n_iter_": whole_number(configuration, "n_iter", "the regressor", 0),
        "_draw_seed": whole_number(configuration, "draw_seed", "the regressor", 0),
        "_single_target": configuration.get("single_target") is True,
    }


def _scaler(archive: Any, name: str, rows: Any) -> StandardScaler:
    scaler = StandardScaler()
    scaler.mean_, scaler.var_, scaler.scale_ = (archive.array(f"{name}/{moment.strip('_')}") for moment in MOMENTS)
    if (scaler.scale_ <= 0.0).any():
        raise Refused(f"{name} must have positive scales")
    if isinstance(rows, bool) or not isinstance(rows, (int, float)) or rows <= 0:
        raise Refused(f"{name} cannot have seen {str(rows):.40} rows")
    scaler.n_samples_seen_, scaler.n_features_in_ = rows, len(scaler.mean_)
    return scaler
