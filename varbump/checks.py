"""Bad input gets an error that names the argument and what was wrong."""

from __future__ import annotations

from typing import Any

import numpy as np

from varbump._keras import float_dtype, keras, refuse_keras3

__all__ = ["check_array", "check_count", "check_data", "check_inputs", "check_network", "check_rows_match"]


def check_count(value: Any, argument: str, minimum: int = 1) -> int:
    """`value` as an int of at least `minimum`, or a ValueError that names the argument."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < minimum:
        raise ValueError(f"{argument} must be an integer of at least {minimum}, got {value!r}")
    return int(value)


def check_array(value: Any, argument: str, dtype: str) -> np.ndarray:
    """`value` as a finite floating array with rows and columns; one column where it had none.

    Parameters
    ----------
    value : array-like (N,) or (N, ...)
        NumPy array, TensorFlow tensor, data frame or list; integers are converted.
    argument : str
        Its name, for the message.
    dtype : str
        Floating type of the result.

    Raises
    ------
    ValueError
        If there are no rows, if entries are not numbers, or if any is nan or infinite.
    """
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise ValueError(
            f"{argument} must hold numbers, got dtype {array.dtype}; convert it, for instance with "
            f"{argument}.astype('float32')"
        )
    if array.ndim == 0:
        raise ValueError(f"{argument} must have rows, got a single number")
    if array.ndim == 1:
        array = array[:, None]
    if array.shape[0] == 0:
        raise ValueError(f"{argument} has no rows (shape {array.shape})")
    if 0 in array.shape:
        raise ValueError(f"{argument} has no columns (shape {array.shape})")
    with np.errstate(over="ignore"):
        array = array.astype(dtype)
    bad = ~np.isfinite(array)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"{argument} must be finite in {dtype}, but {bad.sum():,} of its {bad.size:,} entries "
            f"are nan or infinite, the first in row {where[0]}, column {where[1]}"
        )
    return array


def check_rows_match(x: np.ndarray, y: np.ndarray, name_x: str = "x", name_y: str = "y") -> None:
    """Raise a ValueError unless both have the same number of rows."""
    if len(x) != len(y):
        raise ValueError(f"{name_x} has {len(x):,} rows but {name_y} has {len(y):,}; they must be equal")


def check_data(network: keras.Model, x: Any, y: Any, of: str = "") -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets as arrays that fit the network and each other; `of` goes before their names in messages."""
    x = check_inputs(network, x, f"{of}x")
    y = check_array(y, f"{of}y", float_dtype(network))
    check_rows_match(x, y, f"{of}x", f"{of}y")
    shape = network.output_shape if network.built else None
    if isinstance(shape, tuple) and y.shape[1:] != shape[1:] and None not in shape[1:]:
        raise ValueError(f"{of}y has {y.shape[-1]} columns, but the network has {shape[-1]} outputs")
    return x, y


def check_inputs(network: keras.Model, x: Any, argument: str = "x") -> np.ndarray:
    """Inputs as a finite array as wide as the network expects."""
    x = check_array(x, argument, float_dtype(network))
    shape = network.input_shape if network.built else None
    if isinstance(shape, tuple) and x.shape[-1] != shape[-1] and shape[-1] is not None:
        raise ValueError(f"{argument} has {x.shape[-1]} columns, but the network has {shape[-1]} inputs")
    return x


def check_network(network: Any) -> None:
    """Raise unless `network` is a built tf_keras model that the compiled loops can run."""
    refuse_keras3(network, "network")
    if not isinstance(network, keras.Model):
        raise TypeError(f"network must be a tf_keras.Model, got {type(network).__name__}")
    for layer in network._flatten_layers():
        if type(layer).__module__.startswith("tensorflow_probability") and hasattr(layer, "_prior"):
            _refuse(layer)
        if hasattr(layer, "kernel_prior_fn"):
            _refuse(layer)


def _refuse(layer: Any) -> None:
    raise ValueError(
        f"Layer {layer.name!r} is a stock tfp.layers.{type(layer).__name__}, whose KL cannot be told from other losses "
        f"or scaled; use varbump.layers.DenseVariational, which takes the same factories, or train with Keras fit."
    )
