"""Shapes of the weights of a network, inferred from its configuration before any of them is created."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from varbump.layers import TrainableActivation
from varbump.layers.by_name import resolve_activation
from varbump.layers.windows import count_windows
from varbump.saving.allowed import Refused, built, layers, table_for

__all__ = ["Shape", "activation_shapes", "check_row", "layer_shapes", "likelihood_shapes", "whole_number"]

Shape = tuple[int, ...]
"""Shape of a tensor without its batch axis, or of a weight."""

LARGEST = 2**31 - 1

OF_AXES = ("axis", "batch_input_shape", "noise_shape")
"""Keys of layers without weights whose values are lists of axes or sizes."""

LARGEST_ROW = 2**24
"""Most numbers in a row of a tensor, such as an image of 4096 x 4096: layers without weights can make any number."""


def whole_number(config: dict[str, Any], key: str, where: str, minimum: int = 1) -> int:
    """Check that a number of a configuration is a valid size."""
    value = config.get(key)
    if type(value) is not int or not minimum <= value <= LARGEST:
        raise Refused(f"{where}, {key} must be an integer from {minimum} to {LARGEST}, got {str(value):.40}")
    return value


def check_row(shape: Shape, where: str) -> Shape:
    """Return the shape of a row of a tensor, or refuse one that is too large."""
    if math.prod(shape) > LARGEST_ROW:
        raise Refused(f"{where} makes more than {LARGEST_ROW:,} numbers of each row, which cannot be saved or loaded")
    return shape


def activation_shapes(activation: Any, num_features: int) -> list[Shape]:
    """Shapes of the weights of an activation, which is a name, None or a layer."""
    found = resolve_activation(activation)
    return found.weight_shapes((None, num_features)) if isinstance(found, TrainableActivation) else []


def likelihood_shapes(value: dict[str, Any]) -> list[Shape]:
    """Shapes of the weights of a likelihood, from its encoded configuration, which has been checked."""
    cls: Any = table_for("likelihood")[value["class"]]
    return cls.variable_shapes(value["config"])


def layer_shapes(key: str, config: dict[str, Any], inputs: Sequence[Shape], where: str) -> tuple[Shape, list[Shape]]:
    """Shape of the outputs of a layer, and of its weights in their order.

    Parameters
    ----------
    key : str
        Key of the layer in `varbump.saving.allowed.layers`.
    config : dict
        Configuration as in an archive, with objects encoded.
    inputs : sequence of tuple of int
        Shapes of the inputs, without the batch axis.
    where : str
        Location of the layer, for messages.
    """
    if len(inputs) != 1 and key not in MERGING:
        raise Refused(f"{where} takes one input, got {len(inputs)}")
    if not inputs or any(not shape for shape in inputs):
        raise Refused(f"{where} has no inputs with features")
    rule: Rule = RULES.get(key, _same)
    outputs, weights = _registered(key, config, inputs[0], where) if ">" in key else rule(config, inputs, where)
    return check_row(outputs, where), weights


def _registered(key: str, config: dict[str, Any], shape: Shape, where: str) -> tuple[Shape, list[Shape]]:
    """Ask a registered layer for its shapes. Making it is safe, since a layer has no weights until it is built."""
    layer = built({"class": key, "config": config}, layers(), where)
    try:
        outputs = layer.compute_output_shape((None, *shape))
        return tuple(outputs)[1:], [tuple(weight) for weight in layer.weight_shapes((None, *shape))]
    except ValueError as error:
        raise Refused(f"{where} does not take inputs of shape {shape} ({error})") from error


def _same(config: dict[str, Any], inputs: Sequence[Shape], where: str) -> tuple[Shape, list[Shape]]:
    """Rule for layers without weights; a list of numbers that is no axis or shape must not widen the outputs."""
    for key, value in config.items():
        if isinstance(value, list) and key not in OF_AXES:
            if len(value) != inputs[0][-1] or any(isinstance(entry, list) for entry in value):
                raise Refused(f"{where}, {key} must be one number, or one for each of {inputs[0][-1]} features")
    return inputs[0], []


def _activation_of(config: dict[str, Any], where: str) -> Any:
    value = config.get("activation")
    return built(value, table_for("activation"), f"{where}, activation") if isinstance(value, dict) else value


def _dense(config: dict[str, Any], inputs: Sequence[Shape], where: str) -> tuple[Shape, list[Shape]]:
    units = whole_number(config, "units", where)
    bias: list[Shape] = [(units,)] if config.get("use_bias") is True else []
    activation = activation_shapes(_activation_of(config, where), units)
    return (*inputs[0][:-1], units), [(inputs[0][-1], units), *bias, *activation]


def _activation(config: dict[str, Any], inputs: Sequence[Shape], where: str) -> tuple[Shape, list[Shape]]:
    return inputs[0], activation_shapes(_activation_of(config, where), inputs[0][-1])


def _normalized(config: dict[str, Any], inputs: Sequence[Shape], where: str) -> tuple[Shape, list[Shape]]:
    """Rule for batch and layer normalisation, over the last axis."""
    _last_axis(config, inputs[0], where)
    count = (config.get("scale") is True) + (config.get("center") is True) + 2 * ("momentum" in config)
    return inputs[0], [(inputs[0][-1],)] * count


def _standardized(config: dict[str, Any], inputs: Sequence[Shape], where: str) -> tuple[Shape, list[Shape]]:
    """Rule for `Normalization` that has been adapted to data."""
    _last_axis(config, inputs[0], where)
    if config.get("mean") is not None or config.get("variance") is not None:
        raise Refused(f"{where} has fixed moments, which cannot be saved; let it adapt to data")
    return inputs[0], [(inputs[0][-1],), (inputs[0][-1],), ()]


def _last_axis(config: dict[str, Any], shape: Shape, where: str) -> None:
    axis = config.get("axis")
    if axis not in (-1, [-1], len(shape), [len(shape)]):
        raise Refused(f"{where} must work along the last axis, got axis {str(axis):.40}")


def _prelu(config: dict[str, Any], inputs: Sequence[Shape], where: str) -> tuple[Shape, list[Shape]]:
    if config.get("shared_axes") is not None:
        raise Refused(f"{where} shares slopes along axes, which cannot be saved")
    return inputs[0], [inputs[0]]


def _flatten(config: dict[str, Any], inputs: Sequence[Shape], where: str) -> tuple[Shape, list[Shape]]:
    return (math.prod(inputs[0]),), []


def _reshape(config: dict[str, Any], inputs: Sequence[Shape], where: str) -> tuple[Shape, list[Shape]]:
    target, size = config.get("target_shape"), math.prod(inputs[0])
    if not isinstance(target, list) or not all(type(n) is int and (n > 0 or n == -1) for n in target):
        raise Refused(f"{where}, target_shape must be a list of sizes, got {str(target):.40}")
    known = math.prod(n for n in target if n > 0)
    shape = tuple(size // known if n == -1 else n for n in target)
    if target.count(-1) > 1 or math.prod(shape) != size:
        raise Refused(f"{where} cannot make {str(target):.40} of {size} numbers")
    return shape, []


def _steps(config: dict[str, Any], inputs: Sequence[Shape], where: str) -> tuple[int, int]:
    """Numbers of steps and channels of the sequences that a layer takes."""
    if len(inputs[0]) != 2 or config.get("data_format", "channels_last") != "channels_last":
        raise Refused(f"{where} takes sequences (steps, channels), got rows of shape {inputs[0]}")
    return inputs[0][0], inputs[0][1]


def _sizes(config: dict[str, Any], key: str, count: int, minimum: int, where: str) -> list[int]:
    value = config.get(key)
    if not isinstance(value, list) or len(value) != count:
        raise Refused(f"{where}, {key} must be a list of {count}, got {str(value):.40}")
    return [whole_number({key: size}, key, where, minimum) for size in value]


def _cropped(config: dict[str, Any], inputs: Sequence[Shape], where: str) -> tuple[Shape, list[Shape]]:
    steps, channels = _steps(config, inputs, where)
    return _sequence(steps - sum(_sizes(config, "cropping", 2, 0, where)), channels, where), []


def _pooled(config: dict[str, Any], inputs: Sequence[Shape], where: str) -> tuple[Shape, list[Shape]]:
    steps, channels = _steps(config, inputs, where)
    (size,), (stride,) = (_sizes(config, key, 1, 1, where) for key in ("pool_size", "strides"))
    padding = config.get("padding")
    if padding not in ("same", "valid"):
        raise Refused(f"{where}, padding must be 'same' or 'valid', got {str(padding):.40}")
    return _sequence(count_windows(steps, size, stride, 1, padding), channels, where), []


def _sequence(steps: int, channels: int, where: str) -> Shape:
    if steps < 1:
        raise Refused(f"{where} leaves no steps of its inputs")
    return steps, channels


def _pooled_whole(config: dict[str, Any], inputs: Sequence[Shape], where: str) -> tuple[Shape, list[Shape]]:
    _, channels = _steps(config, inputs, where)
    return ((1, channels) if config.get("keepdims") is True else (channels,)), []


def _elementwise(config: dict[str, Any], inputs: Sequence[Shape], where: str) -> tuple[Shape, list[Shape]]:
    if len(set(inputs)) > 1:
        raise Refused(f"{where} takes inputs of one shape, got {list(inputs)}")
    return inputs[0], []


def _concatenated(config: dict[str, Any], inputs: Sequence[Shape], where: str) -> tuple[Shape, list[Shape]]:
    if len({shape[:-1] for shape in inputs}) > 1:
        raise Refused(f"{where} takes inputs that differ in the last axis only, got {list(inputs)}")
    _last_axis(config, inputs[0], where)
    return (*inputs[0][:-1], sum(shape[-1] for shape in inputs)), []


Rule = Callable[[dict[str, Any], Sequence[Shape], str], tuple[Shape, list[Shape]]]

MERGING: dict[str, Rule] = {
    **{f"layers.{name}": _elementwise for name in ("Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract")},
    "layers.Concatenate": _concatenated,
}

RULES: dict[str, Rule] = {
    **MERGING,
    "layers.Activation": _activation,
    "layers.AveragePooling1D": _pooled,
    "layers.BatchNormalization": _normalized,
    "layers.Cropping1D": _cropped,
    "layers.Dense": _dense,
    "layers.Flatten": _flatten,
    "layers.GlobalAveragePooling1D": _pooled_whole,
    "layers.GlobalMaxPooling1D": _pooled_whole,
    "layers.LayerNormalization": _normalized,
    "layers.MaxPooling1D": _pooled,
    "layers.Normalization": _standardized,
    "layers.PReLU": _prelu,
    "layers.Reshape": _reshape,
}
"""Rules for layers; those without a rule have no weights, and outputs of the shape of their inputs."""
