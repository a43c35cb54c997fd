"""Ensembles: one network, one likelihood, and the values of their variables in each member."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from varbump.core.archive import Archive
from varbump.core.keras import trainable_variables_of
from varbump.inference.ensemble.ensemble import Ensemble
from varbump.saving.allowed import Refused
from varbump.saving.networks import assign, make_network, network_configuration, network_shapes, network_weights
from varbump.saving.shapes import Shape
from varbump.saving.values import (
    encoded_likelihood,
    history_arrays,
    history_configuration,
    history_shapes,
    likelihood_shapes_of,
    likelihood_weights,
    make_history,
    make_likelihood,
)

__all__ = ["ensemble_arrays", "ensemble_configuration", "ensemble_shapes", "make_ensemble"]


def ensemble_configuration(ensemble: Ensemble) -> dict[str, Any]:
    """Configuration of an ensemble in an archive."""
    return {
        "network": network_configuration(ensemble.network),
        "likelihood": encoded_likelihood(ensemble.likelihood),
        "history": history_configuration(ensemble.history),
    }


def ensemble_arrays(ensemble: Ensemble) -> dict[str, np.ndarray]:
    """Weights of the network and the likelihood, and the values of all members."""
    return {
        **network_weights(ensemble.network),
        **likelihood_weights(ensemble.likelihood, "likelihood"),
        **{f"members/{index}": value for index, value in enumerate(ensemble.values)},
        **history_arrays(ensemble.history),
    }


def ensemble_shapes(configuration: dict[str, Any], declared: Mapping[str, Any]) -> dict[str, Shape]:
    """Names and shapes of the arrays; which weights have a value for each member is checked when they are created."""
    network = configuration.get("network")
    if not isinstance(network, dict):
        raise Refused("it has no network")
    return {
        **network_shapes(network),
        **likelihood_shapes_of(configuration.get("likelihood"), "likelihood"),
        **history_shapes(configuration.get("history"), declared),
        **{name: entry.shape for name, entry in declared.items() if name.startswith("members/")},
    }


def make_ensemble(archive: Archive) -> Ensemble:
    """Make the ensemble of an archive whose shapes have been checked."""
    network = make_network(archive.configuration["network"])
    assign(network, archive.array)
    likelihood = make_likelihood(archive.configuration["likelihood"], "likelihood", archive.array)
    variables = [*trainable_variables_of(network), *getattr(likelihood, "trainable_variables", [])]
    values = _members(archive, [(tuple(v.shape), v.dtype.name) for v in variables])
    return Ensemble(network, likelihood, make_history(archive.configuration["history"], archive.array), values)


def _members(archive: Archive, variables: list[tuple[Shape, str]]) -> list[np.ndarray]:
    """For each variable of one network, its values (K, ...) in the members."""
    given = [name for name in archive.declared if name.startswith("members/")]
    names = [f"members/{index}" for index in range(len(variables))]
    if sorted(given) != sorted(names) or not names:
        raise Refused(f"the members have values for {len(given)} variables, but the network has {len(names)}")
    num_members = archive.declared[names[0]].shape[:1]
    for name, (shape, dtype) in zip(names, variables, strict=True):
        found = archive.declared[name]
        if not num_members or num_members == (0,) or found != ((*num_members, *shape), dtype):
            raise Refused(f"{name} has shape {found.shape} and dtype {found.dtype}, for a variable of {shape}, {dtype}")
    return [archive.array(name) for name in names]
