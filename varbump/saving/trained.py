"""Trained ensembles of a regressor: the arguments of their network, likelihoods, members and history."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from varbump.core.keras import trainable_variables_of
from varbump.estimator.state import TrainedEnsemble
from varbump.likelihoods.checks import outputs_needed
from varbump.model.assembly import build_network
from varbump.saving.allowed import Refused, built, table_for
from varbump.saving.networks import MAX_LAYERS
from varbump.saving.shapes import Shape, activation_shapes
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

__all__ = ["check_names", "make_trained", "trained_arrays", "trained_configuration", "trained_shapes"]

NOT_A_PARAMETER = {"likelihood"}
"""Arguments of `build_network` that are saved as trained objects instead."""


def trained_configuration(trained: TrainedEnsemble) -> dict[str, Any]:
    """Configuration of a trained ensemble in an archive."""
    state = trained.__getstate__()
    arguments = {key: value for key, value in state["arguments"].items() if key not in NOT_A_PARAMETER}
    return {
        "arguments": {key: encode_value(value, f"the argument {key}") for key, value in arguments.items()},
        "likelihood": encoded_likelihood(state["arguments"]["likelihood"]),
        "likelihoods": [encoded_likelihood(likelihood) for likelihood in state["likelihoods"]],
        "history": history_configuration(state["history"]),
    }


def trained_arrays(trained: TrainedEnsemble) -> dict[str, np.ndarray]:
    """Arrays of a trained ensemble: values of the members, weights of the likelihoods, and history."""
    state = trained.__getstate__()
    arrays = {f"members/{index}": value for index, value in enumerate(state["values"])}
    arrays |= likelihood_weights(state["arguments"]["likelihood"], "likelihood")
    for index, likelihood in enumerate(state["likelihoods"]):
        arrays |= likelihood_weights(likelihood, f"likelihoods/{index}")
    return {**arrays, **history_arrays(state["history"])}


def trained_shapes(configuration: dict[str, Any], declared: Mapping[str, Any]) -> dict[str, Shape]:
    """Names and shapes of the arrays for a configuration, which is checked at the same time."""
    arguments = configuration.get("arguments")
    likelihoods = configuration.get("likelihoods")
    if not isinstance(arguments, dict) or not isinstance(likelihoods, list):
        raise Refused("it does not say how its network is built")
    if not likelihoods:
        raise Refused("it has no members")
    check_names(arguments, inspect.signature(build_network).parameters, "argument")
    shapes = likelihood_shapes_of(configuration.get("likelihood"), "likelihood")
    for index, likelihood in enumerate(likelihoods):
        shapes |= likelihood_shapes_of(likelihood, f"likelihoods/{index}")
    learned = [shape for name, shape in shapes.items() if name.startswith("likelihood/")]
    trained = [*_network_shapes(configuration), *learned]
    shapes |= {f"members/{index}": (len(likelihoods), *shape) for index, shape in enumerate(trained)}
    return {**shapes, **history_shapes(configuration.get("history"), declared)}


def check_names(given: dict[str, Any], known: Collection[str], what: str) -> None:
    """Refuse unknown names, before anything is made of their values."""
    unknown = [name for name in given if name not in known]
    if unknown:
        raise Refused(f"its {what} {unknown[0]!r:.60} is unknown")


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


def make_trained(
    configuration: dict[str, Any], array: Callable[[str], np.ndarray], declared: Mapping[str, Any]
) -> TrainedEnsemble:
    """Make the trained ensemble of a configuration whose shapes have been checked."""
    arguments = {key: decode_value(value, f"the argument {key}") for key, value in configuration["arguments"].items()}
    arguments["likelihood"] = make_likelihood(configuration["likelihood"], "likelihood", array)
    likelihoods = [
        make_likelihood(value, f"likelihoods/{index}", array)
        for index, value in enumerate(configuration["likelihoods"])
    ]
    history = make_history(configuration["history"], array)
    names = [name for name in declared if name.startswith("members/")]
    values = [array(f"members/{index}") for index in range(len(names))]
    trained = TrainedEnsemble.__new__(TrainedEnsemble)  # as unpickling does
    trained.__setstate__({"arguments": arguments, "likelihoods": likelihoods, "history": history, "values": values})
    _check_members(trained, likelihoods)
    return trained


def _check_members(trained: TrainedEnsemble, likelihoods: list[Any]) -> None:
    """Refuse members whose types are not those of the network, or whose likelihoods are not those of the ensemble."""
    ensemble = trained.ensemble
    variables = [*trainable_variables_of(ensemble.network), *getattr(ensemble.likelihood, "trainable_variables", [])]
    for index, (variable, value) in enumerate(zip(variables, ensemble.values, strict=True)):
        if value.dtype.name != variable.dtype.name:
            raise Refused(f"members/{index} is {value.dtype.name}, but its variable is {variable.dtype.name}")
    for index, (one, other) in enumerate(zip(likelihoods, ensemble.likelihoods, strict=True)):
        same = type(one) is type(other) and one.structure() == other.structure()
        pairs = zip(getattr(one, "variables", []), getattr(other, "variables", []), strict=True)
        if not same or not all(np.array_equal(a.numpy(), b.numpy()) for a, b in pairs):
            raise Refused(f"likelihoods/{index} is not the likelihood of its member")
