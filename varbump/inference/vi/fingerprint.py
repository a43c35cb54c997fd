"""Arguments and data of a call of `fit`, in a form that can be stored and compared."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from varbump.core.keras import keras, serialize

__all__ = ["difference", "digest", "fingerprint"]

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
    """Convert arguments to JSON values, with everything about network and likelihood that is not trained."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tf_keras, on functions that cannot be loaded again
        whole = {"network": _network(network), "likelihood": _likelihood(likelihood), **arguments}
        return json.loads(json.dumps(whole, default=_plain))


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
    weights = [[list(weight.shape), weight.dtype.name, weight.trainable] for weight in network.variables]
    return {"layers": [_configuration(layer) for layer in layers], "weights": weights}


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
    return "a function" if callable(value) else f"a {type(value).__name__}"
