"""Configurations of Keras 3 in the format of Keras 2, in which they are compared and saved, and back.

The two differ in how they write dtypes, the shapes of inputs and the connections of layers, and in some names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["in_keras2_format", "in_keras3_format"]

RENAMED = {"InputLayer": {"batch_shape": "batch_input_shape"}, "LeakyReLU": {"negative_slope": "alpha"}}
"""Arguments by class: names in Keras 3, and in Keras 2."""

ADDED: dict[str, Any] = {
    "input_axes": None, "noise_shape": None, "optional": False, "output_axes": None, "quantization_config": None,
    "renorm": False, "renorm_clipping": None, "renorm_momentum": 0.99, "rms_scaling": False, "synchronized": False,
}  # fmt: skip
"""Arguments that some classes have in Keras 3 only, with the values that mean nothing else than their absence."""


def in_keras2_format(value: Any) -> Any:
    """Convert a configuration of Keras 3, or anything in one."""
    if isinstance(value, Mapping):
        kind = value.get("class_name")
        if kind == "DTypePolicy":
            return value["config"]["name"]
        if kind == "__keras_tensor__":
            return [*value["config"]["keras_history"], {}]
        if set(value) == {"args", "kwargs"}:
            return _call(value["args"], value["kwargs"])
        converted = {key: in_keras2_format(entry) for key, entry in value.items()}
        if isinstance(converted.get("config"), dict) and str(converted.get("module")).startswith("keras."):
            names, config = RENAMED.get(str(kind), {}), converted["config"]
            kept = {key: entry for key, entry in config.items() if key not in ADDED or entry != ADDED[key]}
            converted["config"] = {names.get(key, key): entry for key, entry in kept.items()}
        for key in ("input_layers", "output_layers"):
            if _is_one(converted.get(key)):
                converted[key] = [converted[key]]
        return converted
    if isinstance(value, (list, tuple)):
        return type(value)(in_keras2_format(entry) for entry in value)
    return value


def _call(arguments: Any, keywords: Any) -> list[Any]:
    """Tensors with which a layer is called; other arguments by name stand behind the first."""
    found = _tensors(arguments)
    if keywords:
        found[0][3] = in_keras2_format(keywords)
    return found


def _tensors(arguments: Any) -> list[Any]:
    """Tensors of nested arguments, one after the other."""
    found = []
    for entry in arguments:
        found += _tensors(entry) if isinstance(entry, (list, tuple)) else [in_keras2_format(entry)]
    return found


def _is_one(tensors: Any) -> bool:
    """Whether the name of a tensor stands without a list around it."""
    return isinstance(tensors, (list, tuple)) and len(tensors) == 3 and isinstance(tensors[0], str)


def in_keras3_format(value: Any) -> Any:
    """Convert a configuration of Keras 2, or anything in one."""
    if isinstance(value, Mapping):
        converted = {key: in_keras3_format(entry) for key, entry in value.items()}
        if isinstance(converted.get("config"), dict) and str(converted.get("module")).startswith("keras."):
            kind = str(converted.get("class_name"))
            names = {old: new for new, old in RENAMED.get(kind, {}).items()}
            config = {names.get(key, key): entry for key, entry in converted["config"].items()}
            if kind == "BatchNormalization" and isinstance(config.get("axis"), (list, tuple)):
                (config["axis"],) = config["axis"]  # Keras 2 allows several
            converted["config"] = config
        for key in ("input_layers", "output_layers"):
            if isinstance(converted.get(key), list) and len(converted[key]) == 1:
                converted[key] = converted[key][0]
        return converted
    if isinstance(value, (list, tuple)):
        return type(value)(in_keras3_format(entry) for entry in value)
    return value
