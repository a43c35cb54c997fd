"""Trained ensembles that can be pickled: networks as the arguments that build them, weights as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from varbump.core.keras import trainable_variables_of
from varbump.core.standardised import note_standardised
from varbump.inference.ensemble.ensemble import Ensemble
from varbump.inference.vi.history import History
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

    @classmethod
    def of_values(cls, arguments: dict[str, Any], history: History, values: Sequence[np.ndarray]) -> TrainedEnsemble:
        """Build the network of the arguments, and give it and the likelihood in them the values of the first member."""
        network, likelihood = build_network(**arguments), arguments["likelihood"]
        variables = [*trainable_variables_of(network), *getattr(likelihood, "trainable_variables", [])]
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value[0])
        return cls(arguments, Ensemble(network, likelihood, history, values))

    def __getstate__(self) -> dict[str, Any]:
        return {
            "arguments": self.arguments,
            "likelihoods": self.likelihoods,
            "history": self.ensemble.history,
            "values": self.ensemble.values,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        made = self.of_values(state["arguments"], state["history"], state["values"])
        self.arguments, self.ensemble, self.likelihoods = made.arguments, made.ensemble, state["likelihoods"]
