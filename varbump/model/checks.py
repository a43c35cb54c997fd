"""Checks of networks, and of data against a network."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import layers as tfpl

from varbump.core.checks import check_array, check_rows_match
from varbump.core.keras import (
    NAME,
    Functional,
    check_precision,
    float_dtype,
    is_built,
    keras,
    refuse_other_keras,
    variables_of,
)
from varbump.forward.stock import is_stock
from varbump.likelihoods.checks import outputs_needed
from varbump.model.codes import check_codes_in

__all__ = [
    "check_data",
    "check_input_shape",
    "check_inputs",
    "check_model",
    "check_network",
    "check_outputs",
    "head_of",
]


def check_data(network: keras.Model, likelihood: Any, x: Any, y: Any, of: str = "") -> tuple[np.ndarray, np.ndarray]:
    """Return x and y as arrays that fit the network, the likelihood and each other; `of` prefixes their names."""
    x = check_inputs(network, x, f"{of}x")
    y = check_array(y, f"{of}y", float_dtype(network))
    check_rows_match(x, y, f"{of}x", f"{of}y")
    check_outputs(network, likelihood, y.shape, f"{of}y")
    if hasattr(likelihood, "check_observations"):
        likelihood.check_observations(y, f"{of}y")
    return x, y


def check_inputs(network: keras.Model, x: Any, argument: str = "x") -> np.ndarray:
    """Return inputs as a finite array with as many columns as the network expects, and codes where it takes codes."""
    x = check_array(x, argument, float_dtype(network))
    check_input_shape(network, x.shape, argument)
    check_codes_in(network, x, argument)
    return x


def check_input_shape(network: keras.Model, found: tuple[int, ...], argument: str = "x") -> None:
    """Raise a ValueError unless inputs of a shape fit the network."""
    shape = _shape(network, "input_shape")
    if shape is not None and len(found) != len(shape):
        raise ValueError(f"{argument} has shape {found}, but the network takes {len(shape)} axes: {shape}")
    if shape is not None and found[-1] != shape[-1] and shape[-1] is not None:
        raise ValueError(f"{argument} has {found[-1]} columns, but the network has {shape[-1]} inputs")


def check_outputs(network: keras.Model, likelihood: Any, found: tuple[int, ...], argument: str = "y") -> None:
    """Raise a ValueError unless y of a shape fits the network and the likelihood."""
    shape = _shape(network, "output_shape")
    if shape is not None and len(found) != len(shape):
        raise ValueError(f"{argument} has shape {found}, but the network gives {len(shape)} axes: {shape}")
    needed = outputs_needed(likelihood, found[-1])
    if shape is not None and (*found[1:-1], needed) != shape[1:] and None not in shape[1:]:
        message = f"{argument} has {found[-1]} columns, but the network has {shape[-1]} outputs"
        if needed != found[-1]:
            message += (
                f" and {type(likelihood).__name__} needs {needed}; build it with "
                f"build_network(num_outputs={found[-1]}, likelihood=...)"
            )
        raise ValueError(message)


def _shape(network: keras.Model, which: str) -> tuple[int | None, ...] | None:
    """Return the shape of inputs or outputs; None for subclassed models, which do not declare it."""
    try:
        shape = getattr(network, which)
    except (AttributeError, RuntimeError):
        return None
    return shape if isinstance(shape, tuple) and not isinstance(shape[0], tuple) else None


def check_model(model: Any, argument: str = "network") -> None:
    """Raise a TypeError that names the argument unless `model` is a tf_keras model."""
    refuse_other_keras(model, argument)
    if not isinstance(model, keras.Model):
        held = [name for name in ("network", "network_") if isinstance(getattr(model, name, None), keras.Model)]
        hint = f"; the network is its attribute {held[0]!r}" if held else ""
        hint += ", for standardised x and y" if held == ["network_"] else ""
        if isinstance(model, (str, os.PathLike)):
            hint = f"; load a file that varbump.save has written with varbump.load({str(model)!r:.60})"
        elif isinstance(model, type):
            hint = f"; make one of the class {model.__name__}"
        raise TypeError(f"{argument} must be a {NAME}.Model, got {type(model).__name__}{hint}")


def head_of(network: keras.Model) -> Any:
    """Return the last layer of a Sequential or functional network if it makes a distribution of y, otherwise None."""
    if isinstance(network, keras.Sequential):
        last = network.layers[-1] if network.layers else None
    else:
        outputs = getattr(network, "outputs", None) or [None]
        last = getattr(getattr(outputs[0], "_keras_history", None), "layer", None)
    return last if isinstance(last, tfpl.DistributionLambda) else None


def check_network(network: Any, *, predicts: bool = False) -> None:
    """Raise an error unless `network` is a tf_keras model that the compiled loops can run, here and now.

    If it only `predicts`, variational layers of TFP are allowed, too: their KL is not needed.
    """
    check_model(network)
    _check_no_strategy(network)
    head = head_of(network)
    if head is not None:
        raise ValueError(
            f"network ends in a distribution of y, that of layer {head.name!r}, which only fit, predict_f, predict_y, "
            f"predict_bands, evaluate, estimate_elbo and health_report take; leave this layer out, and pass a "
            f"likelihood of varbump.likelihoods"
        )
    for layer in network._flatten_layers():
        if not isinstance(layer, keras.Model):  # a model only has the policy of the time when it was made
            check_precision(layer)
        if is_stock(layer) and not predicts:
            _refuse(layer)
    for which, what in (("input", "join the inputs to columns of one x"), ("output", "join the outputs")):
        count = len(getattr(network, f"{which}s", None) or [None])
        if count > 1:
            raise ValueError(
                f"network has {count} {which} tensors; it must have one: {what}, with {NAME}.layers.Concatenate"
            )
    declared = getattr(network, "outputs", None) and isinstance(network, Functional)
    if declared and isinstance(network.output, (dict, list, tuple)):
        raise ValueError(
            f"network returns a {type(network.output).__name__}; it must return one tensor: Model(inputs, outputs)"
        )


def _check_no_strategy(network: keras.Model) -> None:
    """Raise a ValueError inside the scope of a strategy of tf.distribute, and for variables that were made in one."""
    if tf.distribute.has_strategy():
        raise ValueError(
            f"network cannot be used inside the scope of a {type(tf.distribute.get_strategy()).__name__}, where "
            f"variables are the strategy's; call this outside, where varbump.fit(..., strategy=strategy) trains on its "
            f"workers"
        )
    for variable in variables_of(network) if is_built(network) else []:
        if type(variable).__module__.startswith("tensorflow.python.distribute"):
            raise ValueError(
                f"network was built inside the scope of a strategy of tf.distribute ({variable.name} is a "
                f"{type(variable).__name__}); build it outside of the scope; "
                f"varbump.fit(..., strategy=strategy) trains it on the workers"
            )


def _refuse(layer: Any) -> None:
    raise ValueError(
        f"Layer {layer.name!r} is a stock tfp.layers.{type(layer).__name__}, whose KL cannot be told from other losses "
        f"or scaled; use varbump.layers.DenseVariational, which takes the same factories, or train in Keras: "
        f"predict_f, predict_y, predict_bands and evaluate take the result."
    )
