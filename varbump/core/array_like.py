"""Arrays of what a user passes, and sentences about what is no array."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Set
from typing import Any

import numpy as np

from varbump.core.keras import refuse_other_keras

__all__ = ["as_array", "check_array_like", "detached"]


def as_array(value: Any, argument: str) -> np.ndarray:
    """Return what NumPy makes of an array, a tensor, a data frame or nested lists.

    Parameters
    ----------
    value : array-like
        Tensors of PyTorch may have gradients and lie on a GPU.
    argument : str
        Name of the argument, for the message.

    Raises
    ------
    TypeError
        If it is not an array but, say, a tf.data.Dataset, a generator or the name of a file; the message says what to
        pass instead.
    ValueError
        If it has no values yet, as in a graph.
    """
    check_array_like(value, argument)
    try:
        array = np.asarray(detached(value))
    except Exception as error:  # any, of the class of the object
        raise ValueError(
            f"{argument} must be an array of numbers, got a {_kind(value)} that NumPy cannot read "
            f"({' '.join(str(error).split()):.100})"
        ) from error
    if array.ndim == 0 and array.dtype.kind == "O":
        raise TypeError(f"{argument} must be an array with a row for each observation, got {_named(value)}")
    return array


def check_array_like(value: Any, argument: str) -> None:
    """Raise a TypeError that says what to pass instead if `value` is a container that NumPy does not read."""
    refuse_other_keras(value, argument)
    instead = _instead(value, argument)
    if instead is not None:
        raise TypeError(f"{argument} must be an array with a row for each observation, got {_named(value)}; {instead}")


def detached(value: Any) -> Any:
    """Return a tensor of PyTorch without its gradient, on the host; anything else as it is."""
    return value.detach().cpu() if hasattr(value, "detach") and hasattr(value, "cpu") else value


def _instead(value: Any, argument: str) -> str | None:
    """What to pass instead; None for what may be an array."""
    if isinstance(value, (str, bytes, os.PathLike)):
        return (
            "read the file first, for instance with pandas.read_csv, and pass its columns; fit also takes "
            "sources of files, such as varbump.sources.ParquetSource"
        )
    if "DatasetV2" in {base.__name__ for base in type(value).__mro__}:
        return (
            "collect its rows first, such as by x, y = map(np.stack, zip(*dataset.as_numpy_iterator())); fit also "
            "takes varbump.sources.DatasetSource(dataset)"
        )
    if hasattr(value, "read_table") and hasattr(value, "epoch"):
        return "only fit, fit_ensemble, evaluate, predict_to and VariationalRegressor.fit take sources; pass some rows"
    if isinstance(value, Iterator):
        return f"it can be read only once, so collect it first: np.array(list({argument}))"
    if isinstance(value, Mapping) and hasattr(value, "toarray"):  # a dictionary of keys of SciPy
        return f"sparse arrays are not supported: pass {argument}.toarray()"
    if isinstance(value, Mapping):
        return f"pass one array with all columns, such as pandas.DataFrame({argument}).to_numpy()"
    if value is None or callable(value) or isinstance(value, Set):
        return "pass a NumPy array, a tensor or a data frame"
    return None


def _named(value: Any) -> str:
    if value is None or isinstance(value, (str, bytes, os.PathLike)):
        return f"{value!r:.60}"
    return f"a {_kind(value)}"


def _kind(value: Any) -> str:
    if "DatasetV2" in {base.__name__ for base in type(value).__mro__}:
        return "tf.data.Dataset"
    return type(value).__name__
