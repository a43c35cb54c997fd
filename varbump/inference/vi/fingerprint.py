"""Arguments and data of a call of `fit`, in a form that can be stored and compared."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from varbump.core.keras import is_graph_network, keras, serialize, variables_of, wiring
from varbump.forward.structure import Undescribable
from varbump.inference.vi.held import attributes, described, foreign

__all__ = ["difference", "digest", "fingerprint"]

MADE = {"posterior", "prior"}
"""Attributes of a layer that are made by its factories, which are compared."""

UNTRAINED = {"name", "build_config"}
"""Keys of configurations that differ between processes or are redundant."""


def digest(*arrays: Any) -> str | None:
    """Compute a checksum of arrays with their shapes and dtypes; None for None."""
    if arrays[0] is None:
        return None
    total = hashlib.sha256()
    for array in arrays:
        array = np.ascontiguousarray(array)
        total.update(f"{array.shape}{array.dtype}".encode())
        total.update(array.data)
    return total.hexdigest()


def fingerprint(network: keras.Model, likelihood: Any, **arguments: Any) -> dict[str, Any]:
    """Convert arguments to JSON values, with everything about network and likelihood that is not trained.

    Parts of a user's own are compared by their code and by all that they hold.

    Raises
    ------
    ValueError
        If a part of a user's own holds something that cannot be compared.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tf_keras, on functions that cannot be loaded again
        own = list(_own_parts(network, likelihood, arguments.get("optimizer")))
        whole = {"network": _network(network), "likelihood": _likelihood(likelihood), **arguments}
        whole = json.loads(json.dumps(whole, default=_plain))
    variables = [*variables_of(network), *getattr(likelihood, "variables", []), *getattr(likelihood, "constants", [])]
    for where, part in own:
        try:
            whole[where] = described(part, variables)
        except Undescribable as error:
            raise ValueError(
                f"checkpoint cannot tell this run from others: {where} holds a {error}, which cannot be compared. Keep "
                f"numbers, text, arrays, functions and objects of these there, or train without a checkpoint"
            ) from error
    return whole


def _own_parts(network: keras.Model, likelihood: Any, optimizer: Any) -> Iterator[tuple[str, Any]]:
    """Yield what users wrote, with a name for it: attributes of a layer, a model or a likelihood, and its class."""
    for part in (optimizer, getattr(optimizer, "_learning_rate", None)):  # their attributes are state
        if foreign(part):
            yield "optimizer, its class", type(part)
    parts = [(f"layer {i}", layer) for i, layer in enumerate(network._flatten_layers())]
    for where, part in [*parts, ("likelihood", likelihood)]:
        own = foreign(part)
        if own:
            yield f"{where}, its class", type(part)
        for name, value in attributes(part).items():
            argument = not name.startswith("_") and name not in MADE and foreign(value)
            if (own or argument) and name not in getattr(part, "learned", ()):
                yield f"{where}, its {name}", value


def difference(before: Any, now: Any) -> str | None:
    """Describe the first difference, such as "epochs is 30, but was 20"; None if there is none."""
    for name in sorted(set(before) | set(now), key=list({**now, **before}).index):
        path, old, new = _first(name, before.get(name), now.get(name))
        if old != new:
            shown = [value if isinstance(value, str) else json.dumps(value) for value in (old, new)]
            if any(len(value) > 60 for value in shown):
                return f"{path} is not the one of before"
            return f"{path} is {shown[1]}, but was {shown[0]}"
    return None


def _first(path: str, before: Any, now: Any) -> tuple[str, Any, Any]:
    """Find the first difference in nested configurations."""
    pairs: list[tuple[Any, Any, Any]] = []
    if isinstance(before, dict) and isinstance(now, dict) and set(before) == set(now):
        pairs = [(key, before[key], now[key]) for key in before]
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = [(index, *values) for index, values in enumerate(zip(before, now, strict=True))]
    for key, old, new in pairs:
        if old != new:
            return _first(f"{path}[{key!r}]", old, new)
    return path, before, now


def _network(network: keras.Model) -> Any:
    """Layers in their order with their configurations, and the shapes of the weights."""
    skipped = (keras.layers.InputLayer, keras.Model)  # names, and layers that are listed separately
    layers = [layer for layer in network._flatten_layers(include_self=False) if not isinstance(layer, skipped)]
    weights = [[list(weight.shape), weight.dtype.name, weight.trainable] for weight in variables_of(network)]
    return {"layers": [_configuration(layer) for layer in layers], "weights": weights, "wiring": _wiring(network)}


def _wiring(network: keras.Model) -> Any:
    """For each call of a layer, the number of the layer and of those whose outputs it takes, for each model inside."""
    found = []
    for model in network._flatten_layers():
        if is_graph_network(model):
            found.append(sorted(wiring(model), key=str))
    return found


def _configuration(layer: Any) -> Any:
    """Class of a layer, and its configuration if it has one; posteriors inside layers do not."""
    try:
        config = layer.get_config()
    except Exception:  # of any layer, also one that a user wrote
        config = {}
    return [type(layer).__name__, _without(config)]


def _without(value: Any, keys: Any = UNTRAINED) -> Any:
    if isinstance(value, Mapping):
        if value.get("class_name") in ("__lambda__", "function"):
            return "a function"
        return {key: _without(entry, keys) for key, entry in value.items() if key not in keys}
    if isinstance(value, (list, tuple)):
        return [_without(entry, keys) for entry in value]
    return value


def _likelihood(likelihood: Any) -> Any:
    """Class and configuration of a likelihood, without learned values."""
    config = likelihood.get_config() if hasattr(likelihood, "get_config") else {}
    return [type(likelihood).__name__, _without(config, UNTRAINED | set(getattr(likelihood, "learned", ())))]


def _plain(value: Any) -> Any:
    """Convert what JSON does not support: numbers of NumPy, objects of Keras, functions."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if hasattr(value, "get_config"):
        return _without(serialize(value))
    return "a function" if callable(value) else f"a {type(value).__name__}"  # what users wrote is compared apart
