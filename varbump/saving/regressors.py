"""Fitted regressors: parameters, scalers, and a trained ensemble."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from varbump.estimator import VariationalRegressor
from varbump.estimator.state import TrainedEnsemble
from varbump.likelihoods.checks import outputs_needed
from varbump.model.assembly import build_network
from varbump.saving.allowed import Refused, built, table_for
from varbump.saving.networks import MAX_LAYERS
from varbump.saving.shapes import Shape, activation_shapes, whole_number
from varbump.saving.tables import (
    encoder_arrays,
    encoder_configuration,
    encoder_shapes,
    make_encoder,
    plain_encoder,
)
from varbump.saving.values import (
    decode_value,
    encode_value,
    encoded_likelihood,
    history_arrays,
    history_configuration,
    history_shapes,
    likelihood_shapes_of,
    likelihood_weights,
    make_history,
    make_likelihood,
)

__all__ = ["make_regressor", "regressor_arrays", "regressor_configuration", "regressor_shapes"]

SCALERS = {"x_scaler": "num_features", "y_scaler": "num_outputs"}

MOMENTS = ("mean_", "var_", "scale_")
"""Fitted attributes of a scaler."""

NOT_A_PARAMETER = {"likelihood"}
"""Arguments of `build_network` that are saved as trained objects instead."""


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
    trained = state["_trained"].__getstate__()
    parameters = regressor.get_params(deep=False)
    arguments = {key: value for key, value in trained["arguments"].items() if key not in NOT_A_PARAMETER}
    names = state.get("feature_names_in_")
    return {
        "parameters": {key: encode_value(value, f"the parameter {key}") for key, value in parameters.items()},
        "arguments": {key: encode_value(value, f"the argument {key}") for key, value in arguments.items()},
        "likelihood": encoded_likelihood(trained["arguments"]["likelihood"]),
        "likelihoods": [encoded_likelihood(likelihood) for likelihood in trained["likelihoods"]],
        "history": history_configuration(trained["history"]),
        "feature_names": None if names is None else [str(name) for name in names],
        "table": encoder_configuration(state["encoder_"]),
        "rows_seen": [encode_value(state[f"{name}_"].n_samples_seen_, name) for name in SCALERS],
        "n_iter": int(state["n_iter_"]),
        "draw_seed": int(state["_draw_seed"]),
        "single_target": bool(state["_single_target"]),
        "num_data": state["parameter_report_"].num_data,
    }


def regressor_arrays(regressor: VariationalRegressor) -> dict[str, np.ndarray]:
    """Arrays: values of the members, weights of the likelihoods, scalers, encoder, history and noise."""
    trained = regressor._trained.__getstate__()
    arrays = {f"members/{index}": value for index, value in enumerate(trained["values"])}
    arrays |= likelihood_weights(trained["arguments"]["likelihood"], "likelihood")
    for index, likelihood in enumerate(trained["likelihoods"]):
        arrays |= likelihood_weights(likelihood, f"likelihoods/{index}")
    for name in SCALERS:
        scaler = getattr(regressor, f"{name}_")
        arrays |= {f"{name}/{moment.strip('_')}": np.asarray(getattr(scaler, moment), float) for moment in MOMENTS}
    arrays |= encoder_arrays(regressor.encoder_)
    return {**arrays, **history_arrays(trained["history"]), "noise_std": np.asarray(regressor.noise_std_, float)}


def regressor_shapes(configuration: dict[str, Any], declared: Mapping[str, Any]) -> dict[str, Shape]:
    """Names and shapes of the arrays for a configuration, which is checked at the same time."""
    arguments = configuration.get("arguments")
    likelihoods = configuration.get("likelihoods")
    if not isinstance(arguments, dict) or not isinstance(likelihoods, list):
        raise Refused("it does not say how its network is built")
    if not likelihoods:
        raise Refused("it has no members")
    _check_names(arguments, inspect.signature(build_network).parameters, "argument")
    shapes = likelihood_shapes_of(configuration.get("likelihood"), "likelihood")
    for index, likelihood in enumerate(likelihoods):
        shapes |= likelihood_shapes_of(likelihood, f"likelihoods/{index}")
    num_targets = whole_number(arguments, "num_outputs", "the argument num_outputs")
    trained = [*_network_shapes(configuration), *_trained_likelihood(shapes)]
    shapes |= {f"members/{index}": (len(likelihoods), *shape) for index, shape in enumerate(trained)}
    for name, size in SCALERS.items():
        count = whole_number(arguments, size, f"the argument {size}")
        shapes |= {f"{name}/{moment.strip('_')}": (count,) for moment in MOMENTS}
    if "table" in configuration:
        num_inputs = whole_number(arguments, "num_features", "the argument num_features")
        shapes |= encoder_shapes(configuration["table"], num_inputs)
    single = configuration.get("single_target") is True
    if single and num_targets != 1:
        raise Refused(f"it has {num_targets} targets, but says that it has a single one")
    shapes["noise_std"] = () if single else (num_targets,)
    return {**shapes, **history_shapes(configuration.get("history"), declared)}


def _check_names(given: dict[str, Any], known: Collection[str], what: str) -> None:
    """Refuse unknown names, before anything is made of their values."""
    unknown = [name for name in given if name not in known]
    if unknown:
        raise Refused(f"its {what} {unknown[0]!r:.60} is unknown")


def _trained_likelihood(shapes: dict[str, Shape]) -> list[Shape]:
    return [shape for name, shape in shapes.items() if name.startswith("likelihood/")]


def _network_shapes(configuration: dict[str, Any]) -> list[Shape]:
    """Shapes of the trainable variables of the network for given arguments, in order, without building it."""
    arguments = {key: decode_value(value, f"the argument {key}") for key, value in configuration["arguments"].items()}
    likelihood = built(configuration["likelihood"], table_for("likelihood"), "the likelihood")
    try:
        hidden, activation = list(arguments["hidden_units"]), arguments["activation"]
        if len(hidden) >= MAX_LAYERS:
            raise Refused(f"its network must have at most {MAX_LAYERS} layers, got {len(hidden) + 1:,}")
        widths = [*hidden, outputs_needed(likelihood, arguments["num_outputs"])]
        factory, fan_in = arguments["make_posterior_fn"], arguments["num_features"]
        shapes: list[Shape] = []
        for index, units in enumerate(widths):
            if type(units) is not int or units < 1:
                raise Refused(f"the argument hidden_units must not hold {str(units):.40}")
            is_hidden = index < len(hidden)
            if is_hidden and getattr(activation, "trainable", True):
                shapes += activation_shapes(activation, units)
            size = (fan_in + 1) * units
            shapes += factory.variable_shapes(size)
            factory, fan_in = factory.after(size), units
    except (KeyError, TypeError, AttributeError) as error:
        raise Refused(f"its arguments do not describe a network ({error})") from error
    return shapes


def make_regressor(archive: Any) -> VariationalRegressor:
    """Make the regressor of an archive whose shapes have been checked."""
    configuration, array = archive.configuration, archive.array
    encoded = configuration.get("parameters")
    if not isinstance(encoded, dict):
        raise Refused("it has no parameters")
    _check_names(encoded, VariationalRegressor._get_param_names(), "parameter")
    parameters = {key: decode_value(value, f"the parameter {key}") for key, value in encoded.items()}
    regressor = VariationalRegressor(**parameters)
    regressor._validate_params()
    trained = _trained(archive)
    noise = array("noise_std")
    if (noise < 0.0).any():
        raise Refused("noise_std must not be negative")
    state = {
        **parameters,
        **_attributes(archive),
        "_trained": trained,
        "history_": trained.ensemble.history,
        "noise_std_": float(noise) if noise.ndim == 0 else noise,
    }
    regressor.__setstate__(state)
    num_data = whole_number(configuration, "num_data", "the regressor")
    regressor.parameter_report_ = regressor._report(num_data)
    return regressor


def _trained(archive: Any) -> TrainedEnsemble:
    configuration, array = archive.configuration, archive.array
    arguments = {key: decode_value(value, f"the argument {key}") for key, value in configuration["arguments"].items()}
    arguments["likelihood"] = make_likelihood(configuration["likelihood"], "likelihood", array)
    likelihoods = [
        make_likelihood(value, f"likelihoods/{index}", array)
        for index, value in enumerate(configuration["likelihoods"])
    ]
    history = make_history(configuration["history"], array)
    names = [name for name in archive.declared if name.startswith("members/")]
    values = [array(f"members/{index}") for index in range(len(names))]
    trained = TrainedEnsemble.__new__(TrainedEnsemble)  # as unpickling does
    trained.__setstate__({"arguments": arguments, "likelihoods": likelihoods, "history": history, "values": values})
    _check_members(trained, likelihoods)
    return trained


def _check_members(trained: TrainedEnsemble, likelihoods: list[Any]) -> None:
    """Refuse members whose types are not those of the network, or whose likelihoods are not those of the ensemble."""
    ensemble = trained.ensemble
    variables = [*ensemble.network.trainable_variables, *getattr(ensemble.likelihood, "trainable_variables", [])]
    for index, (variable, value) in enumerate(zip(variables, ensemble.values, strict=True)):
        if value.dtype.name != variable.dtype.name:
            raise Refused(f"members/{index} is {value.dtype.name}, but its variable is {variable.dtype.name}")
    for index, (one, other) in enumerate(zip(likelihoods, ensemble.likelihoods, strict=True)):
        same = type(one) is type(other) and one.structure() == other.structure()
        pairs = zip(getattr(one, "variables", []), getattr(other, "variables", []), strict=True)
        if not same or not all(np.array_equal(a.numpy(), b.numpy()) for a, b in pairs):
            raise Refused(f"likelihoods/{index} is not the likelihood of its member")


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
