"""Trained ensembles that can be pickled: networks as the arguments that build them, weights as arrays."""

from __future__ import annotations

from typing import Any

from varbump.core.standardised import note_standardised
from varbump.inference.ensemble.ensemble import Ensemble
from varbump.model.assembly import build_network

__all__ = ["TrainedEnsemble"]


class TrainedEnsemble:
    """An ensemble with the arguments of its network and the likelihood of each member.

    Parameters
    ----------
    arguments : dict
        Arguments of `varbump.build_network`, with the likelihood of the ensemble.
    ensemble : Ensemble
    """

    def __init__(self, arguments: dict[str, Any], ensemble: Ensemble) -> None:
        self.arguments, self.ensemble = arguments, ensemble
        self.likelihoods = ensemble.likelihoods
        note_standardised(ensemble.network)

    def __getstate__(self) -> dict[str, Any]:
        return {
            "arguments": self.arguments,
            "likelihoods": self.likelihoods,
            "history": self.ensemble.history,
            "values": self.ensemble.values,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.arguments, self.likelihoods = state["arguments"], state["likelihoods"]
        network, likelihood = build_network(**self.arguments), self.arguments["likelihood"]
        self.ensemble = Ensemble(network, likelihood, state["history"], state["values"])
        note_standardised(network)
        variables = [*network.trainable_variables, *getattr(likelihood, "trainable_variables", [])]
        for variable, value in zip(variables, self.ensemble.values, strict=True):
            variable.assign(value[0])
