"""Bad input gets an error that names the argument and what was wrong."""

from __future__ import annotations

import warnings
from numbers import Real
from typing import Any

import numpy as np

from varbump._keras import float_dtype, keras, refuse_keras3

__all__ = [
    "check_array",
    "check_count",
    "check_data",
    "check_inputs",
    "check_likelihood",
    "check_model",
    "check_network",
    "check_number",
    "check_rows_match",
    "check_shares",
    "interval_tails",
    "outputs_needed",
]


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

    Warns
    -----
    UserWarning
        If `dtype` is too coarse for a column, so that distinct values of it become equal.
    """
    refuse_keras3(value, argument)
    if np.ma.is_masked(value):
        raise ValueError(f"{argument} is a masked array with masked entries; drop or fill them first")
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise ValueError(_no_numbers(array, argument))
    if array.ndim == 0:
        raise ValueError(f"{argument} must have rows, got a single number")
    if array.ndim == 1:
        array = array[:, None]
    if array.shape[0] == 0:
        raise ValueError(f"{argument} has no rows (shape {array.shape})")
    if 0 in array.shape:
        raise ValueError(f"{argument} has no columns (shape {array.shape})")
    given = array
    with np.errstate(over="ignore"):
        array = array.astype(dtype)
    bad = ~np.isfinite(array)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"{argument} must be finite in {dtype}, but {bad.sum():,} of its {bad.size:,} entries "
            f"are nan or infinite, the first in row {where[0]}, column {where[1]}"
        )
    _warn_of_merged_values(given, array, argument)
    return array


FEW_VALUES = 256
"""A column that keeps more distinct values than this has lost nothing that a fit could tell."""

ROUNDING = 1e-12
"""Values this close to each other, as a share of their size, are one value that was computed in two ways."""

NEGLIGIBLE = 1e-7
"""Values this small, as a share of the largest of their column, are all zero to a fit, such as 1e-50 beside 1."""


def _warn_of_merged_values(given: np.ndarray, array: np.ndarray, argument: str) -> None:
    """Warn where a conversion leaves few values of a column, in most of whose rows different values became one."""
    if np.can_cast(given.dtype, array.dtype):
        return
    columns, narrow = given.reshape(len(given), -1), array.reshape(len(given), -1)
    stride = -(-len(narrow) // (4 * FEW_VALUES))
    suspects = _num_distinct(narrow[::stride]) <= FEW_VALUES  # most columns are found to be fine by a glance
    if stride == 1:
        suspects &= _num_distinct(narrow) < _num_distinct(columns)
    for index in np.flatnonzero(suspects):
        values, counts = np.unique(columns[:, index], return_counts=True)
        kept, of_kept = np.unique(values.astype(array.dtype), return_inverse=True)
        apart = np.diff(values) > (ROUNDING * np.abs(values[1:]) if values.dtype.kind == "f" else 0)
        sizes = np.abs(values.astype(float))
        apart &= np.maximum(sizes[1:], sizes[:-1]) > NEGLIGIBLE * sizes.max()
        merges = np.zeros(len(kept), bool)
        merges[of_kept[1:][apart & (np.diff(of_kept) == 0)]] = True
        if len(kept) <= FEW_VALUES and 2 * counts[merges[of_kept]].sum() > len(given):
            remedy = ', or build the network with dtype="float64"' if array.dtype == np.float32 else ""
            warnings.warn(
                f"column {index} of {argument} has {len(values):,} different values, of which {array.dtype} can tell "
                f"only {len(kept):,} apart; subtract its mean{remedy}",
                UserWarning,
                stacklevel=2,
            )


def _num_distinct(columns: np.ndarray) -> np.ndarray:
    """Distinct values of each column."""
    return 1 + np.count_nonzero(np.diff(np.sort(columns, axis=0), axis=0), axis=0)


def check_rows_match(x: np.ndarray, y: np.ndarray, name_x: str = "x", name_y: str = "y") -> None:
    """Raise a ValueError unless both have the same number of rows."""
    if len(x) != len(y):
        raise ValueError(f"{name_x} has {len(x):,} rows but {name_y} has {len(y):,}; they must be equal")


def check_data(network: keras.Model, likelihood: Any, x: Any, y: Any, of: str = "") -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets as arrays that fit the network, the likelihood and each other; messages say `of` x and y."""
    x = check_inputs(network, x, f"{of}x")
    y = check_array(y, f"{of}y", float_dtype(network))
    check_rows_match(x, y, f"{of}x", f"{of}y")
    shape = _shape(network, "output_shape")
    if shape is not None and y.ndim != len(shape):
        raise ValueError(f"{of}y has shape {y.shape}, but the network gives {len(shape)} axes: {shape}")
    needed = outputs_needed(likelihood, y.shape[-1])
    if shape is not None and (*y.shape[1:-1], needed) != shape[1:] and None not in shape[1:]:
        message = f"{of}y has {y.shape[-1]} columns, but the network has {shape[-1]} outputs"
        if needed != y.shape[-1]:
            message += (
                f" and {type(likelihood).__name__} needs {needed}; build it with "
                f"build_network(num_outputs={y.shape[-1]}, likelihood=...)"
            )
        raise ValueError(message)
    return x, y


def check_inputs(network: keras.Model, x: Any, argument: str = "x") -> np.ndarray:
    """Inputs as a finite array as wide as the network expects."""
    x = check_array(x, argument, float_dtype(network))
    shape = _shape(network, "input_shape")
    if shape is not None and x.ndim != len(shape):
        raise ValueError(f"{argument} has shape {x.shape}, but the network takes {len(shape)} axes: {shape}")
    if shape is not None and x.shape[-1] != shape[-1] and shape[-1] is not None:
        raise ValueError(f"{argument} has {x.shape[-1]} columns, but the network has {shape[-1]} inputs")
    return x


def _shape(network: keras.Model, which: str) -> tuple[int | None, ...] | None:
    """Shape that a network takes or gives, None where it does not say, as subclassed models do not."""
    try:
        shape = getattr(network, which)
    except (AttributeError, RuntimeError):
        return None
    return shape if isinstance(shape, tuple) and not isinstance(shape[0], tuple) else None


def _no_numbers(array: np.ndarray, argument: str) -> str:
    """Which entry is no number, or which type of numbers it is not."""
    if array.dtype.kind in "OSU":
        for where in np.ndindex(array.shape):
            try:
                float(array[where])
            except (TypeError, ValueError):
                at = ", ".join(f"{axis} {index}" for axis, index in zip(("row", "column"), where, strict=False))
                return f"{argument} must hold numbers, but {at} is {str(array[where])!r:.40}"
    return (
        f"{argument} must hold numbers, got dtype {array.dtype}; convert it, for instance with "
        f"{argument}.astype('float32')"
    )


def check_likelihood(likelihood: Any, *also: str) -> None:
    """Raise a TypeError unless `likelihood` has what training and prediction call, and the methods named in `also`."""
    refuse_keras3(likelihood, "likelihood")
    if isinstance(likelihood, type) or not all(hasattr(likelihood, name) for name in ("nll", "sample", *also)):
        made = f"; make one of the class, {likelihood.__name__}(...)" if isinstance(likelihood, type) else ""
        raise TypeError(
            f"likelihood must be one of varbump.likelihoods, such as Normal(scale=0.3), got {likelihood!r}{made}"
        )


def outputs_needed(likelihood: Any, num_targets: int) -> int:
    """Network outputs for so many columns of y: as many, unless the likelihood says otherwise."""
    check_likelihood(likelihood)
    return likelihood.num_outputs(num_targets) if hasattr(likelihood, "num_outputs") else num_targets


def check_number(value: Any, argument: str, *, minimum: float = 0.0, strict: bool = False) -> float:
    """`value` as a finite float of at least `minimum`, or above it if `strict`; else a ValueError with its name."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or not np.isfinite(value) or value < minimum or (strict and value == minimum):
        raise ValueError(
            f"{argument} must be a finite number {'above' if strict else 'of at least'} {minimum:g}, got {value!r}"
        )
    return float(value)


def check_shares(values: Any, argument: str) -> np.ndarray:
    """One or several numbers between 0 and 1, as an array (L,); else a ValueError with its name."""
    try:
        array = np.atleast_1d(np.asarray(values, dtype=float))
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.ndim != 1 or not array.size or not ((array > 0.0) & (array < 1.0)).all():
        percent = " (of 95 % is 0.95)" if array.size and (array > 1.0).all() and (array < 100.0).all() else ""
        raise ValueError(f"{argument} must be numbers between 0 and 1{percent}, such as (0.5, 0.95), got {values!r}")
    return array


def interval_tails(coverage: Any) -> list[float]:
    """Levels of the two ends of an equal-tailed interval; a ValueError where `coverage` is not between 0 and 1."""
    if not isinstance(coverage, Real) or not 0.0 < float(coverage) < 1.0:
        raise ValueError(f"coverage must lie between 0 and 1, such as 0.95, got {coverage!r}")
    return [(1.0 - float(coverage)) / 2.0, (1.0 + float(coverage)) / 2.0]


def check_model(model: Any, argument: str = "network") -> None:
    """Raise a TypeError that names the argument unless `model` is a tf_keras model."""
    refuse_keras3(model, argument)
    if not isinstance(model, keras.Model):
        held = [name for name in ("network", "network_") if isinstance(getattr(model, name, None), keras.Model)]
        hint = f"; the network is its attribute {held[0]!r}" if held else ""
        hint += ", for standardised x and y" if held == ["network_"] else ""
        raise TypeError(f"{argument} must be a tf_keras.Model, got {type(model).__name__}{hint}")


def check_network(network: Any) -> None:
    """Raise unless `network` is a tf_keras model that the compiled loops can run."""
    check_model(network)
    for layer in network._flatten_layers():
        if type(layer).__module__.startswith("tensorflow_probability") and hasattr(layer, "_prior"):
            _refuse(layer)
        if hasattr(layer, "kernel_prior_fn"):
            _refuse(layer)
    for which, what in (("inputs", "input"), ("outputs", "output")):
        if len(getattr(network, which, None) or [None]) > 1:
            raise ValueError(f"network has {len(getattr(network, which))} {what} tensors; it must have one")


def _refuse(layer: Any) -> None:
    raise ValueError(
        f"Layer {layer.name!r} is a stock tfp.layers.{type(layer).__name__}, whose KL cannot be told from other losses "
        f"or scaled; use varbump.layers.DenseVariational, which takes the same factories, or Keras for the whole job."
    )
