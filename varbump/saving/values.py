"""Likelihoods, histories, and the parameters of a regressor."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from varbump.core.keras import keras, serialize
from varbump.inference.vi.history import History
from varbump.saving.allowed import (
    Refused,
    activations,
    built,
    checked_activation,
    decoded,
    encoded,
    parameters,
    table_for,
)
from varbump.saving.shapes import Shape, likelihood_shapes

__all__ = [
    "decode_value",
    "encode_value",
    "encoded_likelihood",
    "history_arrays",
    "history_configuration",
    "history_shapes",
    "likelihood_shapes_of",
    "likelihood_weights",
    "make_history",
    "make_likelihood",
]


def encoded_likelihood(likelihood: Any) -> dict[str, Any]:
    """Configuration of a likelihood in an archive, which stores its weights as arrays.

    Raises
    ------
    Refused
        If it is not known by name.
    """
    known = table_for("likelihood")
    if type(likelihood) not in known.values():
        names = ", ".join(sorted(cls.__name__ for cls in known.values()))
        raise Refused(
            f"the likelihood is a {type(likelihood).__name__}, but only {names}, and classes that varbump.register has "
            f"given a name, can be saved"
        )
    value = encoded(serialize(likelihood), "the likelihood")
    decoded(value, known, "the likelihood")
    return value


def likelihood_weights(likelihood: Any, prefix: str) -> dict[str, np.ndarray]:
    """Exact values of learned weights, which a configuration gives in decimal only."""
    return {f"{prefix}/{i}": v.numpy() for i, v in enumerate(getattr(likelihood, "variables", []))}


def likelihood_shapes_of(value: Any, prefix: str) -> dict[str, Shape]:
    """Names and shapes of the arrays of a likelihood, whose configuration is checked."""
    decoded(value, table_for("likelihood"), "the likelihood")
    return {f"{prefix}/{i}": shape for i, shape in enumerate(likelihood_shapes(value))}


def make_likelihood(value: Any, prefix: str, array: Callable[[str], np.ndarray]) -> Any:
    """Make the likelihood of a configuration that has been checked, with its weights."""
    likelihood = built(value, table_for("likelihood"), "the likelihood")
    for index, variable in enumerate(getattr(likelihood, "variables", [])):
        stored = array(f"{prefix}/{index}")
        if stored.dtype.name != variable.dtype.name:
            raise Refused(f"{prefix}/{index} is {stored.dtype.name}, but the likelihood is {variable.dtype.name}")
        variable.assign(stored)
    return likelihood


LATER_FIELDS: dict[str, Any] = {"exact": False, "estimated_kl": [], "converged": None, "gain": None}
"""Fields of a history that files of earlier versions lack, with what they would contain."""


def history_configuration(history: History) -> dict[str, Any]:
    """Configuration of a history: everything except the columns, which are arrays."""
    fields = {key: value for key, value in dataclasses.asdict(history).items() if key != "history"}
    return {**encoded(fields, "the history"), "columns": list(history.history)}


def history_arrays(history: History) -> dict[str, np.ndarray]:
    """Columns of a history."""
    return {f"history/{index}": np.array(column, float) for index, column in enumerate(history.history.values())}


def history_shapes(value: Any, declared: Mapping[str, Any]) -> dict[str, Shape]:
    """Names and shapes of the columns, which all have the same length."""
    columns = value.get("columns") if isinstance(value, dict) else None
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise Refused("the history has no names of columns")
    length = declared["history/0"].shape if "history/0" in declared else (0,)
    if len(length) != 1:
        raise Refused(f"the history has columns of shape {length}, not one number for each epoch")
    return dict.fromkeys((f"history/{index}" for index in range(len(columns))), length)


def make_history(value: dict[str, Any], array: Callable[[str], np.ndarray]) -> History:
    """Make the history of a configuration that `history_shapes` has checked."""
    names = [field.name for field in dataclasses.fields(History) if field.name != "history"]
    fields: dict[str, Any] = {name: value.get(name, LATER_FIELDS.get(name)) for name in names}
    for name, kinds in {
        "num_data": (int,), "steps_per_epoch": (int,), "timed_steps": (int,), "seconds": (int, float),
        "temperature": (int, float), "stopped": (str, type(None)), "best_epoch": (int, type(None)),
        "exact": (bool,), "estimated_kl": (list,), "converged": (bool, type(None)), "gain": (float, type(None)),
    }.items():  # fmt: skip
        if type(fields[name]) not in kinds:
            raise Refused(f"the history, {name} must not be {str(fields[name]):.40}")
        if isinstance(fields[name], (int, float)) and name != "gain" and not 0 <= fields[name] < 2**63:
            raise Refused(f"the history, {name} must be a number of at least 0, got {str(fields[name]):.40}")
    if not all(isinstance(name, str) for name in fields["estimated_kl"]):
        raise Refused("the history, estimated_kl must be names of layers")
    fields["estimated_kl"] = tuple(fields["estimated_kl"])
    columns = {name: array(f"history/{index}").tolist() for index, name in enumerate(value["columns"])}
    return History(columns, **fields)


def encode_value(value: Any, where: str, *, nested: bool = False) -> Any:
    """Encode a parameter as JSON: a number, word, object of varbump, activation or generator, or a sequence.

    Sequences hold numbers, words and sequences; `nested` is for their entries.
    """
    if isinstance(value, np.ndarray):
        value = tuple(value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, (list, tuple)):
        return {type(value).__name__: [encode_value(entry, where, nested=True) for entry in value]}
    if nested:
        raise Refused(f"{where} holds {value!r:.60}, and only numbers and words can be saved in a sequence")
    if isinstance(value, np.random.RandomState):
        _, words, *rest = value.get_state(legacy=True)
        return {"RandomState": [np.asarray(words).tolist(), *rest]}
    if hasattr(value, "get_config"):
        coded = encoded(serialize(value), where)
        decoded(coded, parameters(), where)
        return coded
    name = getattr(value, "__name__", None)
    if callable(value) and name in activations() and keras.activations.get(name) is value:
        return {"activation": name}
    raise Refused(f"{where} is {value!r:.60}, which has no name that could be saved")


def decode_value(value: Any, where: str, *, nested: bool = False) -> Any:
    """Decode what `encode_value` returned, with the same `nested`.

    Raises
    ------
    Refused
        If `encode_value` cannot have returned it.
    """
    if value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, dict) and "class" in value and not nested:
        return built(value, parameters(), where)
    if isinstance(value, dict) and len(value) == 1:
        kind, entry = next(iter(value.items()))
        if kind in ("list", "tuple") and isinstance(entry, list):
            entries = [decode_value(each, where, nested=True) for each in entry]
            return entries if kind == "list" else tuple(entries)
        if nested:
            raise Refused(f"{where} must not hold {str(value):.60}")
        if kind == "activation" and isinstance(entry, str):
            return keras.activations.get(checked_activation(entry, where))
        if kind == "RandomState" and isinstance(entry, list) and len(entry) == 4:
            return _random_state(entry, where)
    raise Refused(f"{where} must not be {str(value):.60}")


def _random_state(entry: list[Any], where: str) -> np.random.RandomState:
    words, position, has_normal, normal = entry
    fine = isinstance(words, list) and len(words) == 624 and all(type(w) is int and 0 <= w < 2**32 for w in words)
    if not fine or type(position) is not int or not 0 <= position <= 624 or has_normal not in (0, 1):
        raise Refused(f"{where} is no state of a RandomState")
    state = np.random.RandomState(0)
    state.set_state(("MT19937", np.array(words, np.uint32), position, has_normal, float(normal)))
    return state
