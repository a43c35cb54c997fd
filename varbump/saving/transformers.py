"""Fitted transformers of scikit-learn, and what they are made of, as plain data.

The classes are a closed list, and attributes are numbers, words, arrays and containers of them: a file names nothing
that is imported, and nothing in it runs.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import sklearn
from sklearn import compose, impute, pipeline, preprocessing

from varbump.saving.allowed import Refused

__all__ = ["CLASSES", "FITTED", "Reader", "Writer", "check_version", "refuse_step"]

CLASSES: dict[str, type] = {
    cls.__name__: cls
    for cls in (
        compose.ColumnTransformer, compose.TransformedTargetRegressor, compose.make_column_selector,
        impute.MissingIndicator, impute.SimpleImputer, pipeline.FeatureUnion, pipeline.Pipeline,
        preprocessing.FunctionTransformer, preprocessing.MaxAbsScaler, preprocessing.MinMaxScaler,
        preprocessing.OneHotEncoder, preprocessing.OrdinalEncoder, preprocessing.PolynomialFeatures,
        preprocessing.PowerTransformer, preprocessing.QuantileTransformer, preprocessing.RobustScaler,
        preprocessing.StandardScaler,
    )
}  # fmt: skip
"""Classes that an archive may name, besides a regressor of ours."""

FUNCTIONS: dict[str, Any] = {
    name: getattr(np, name)
    for name in (
        "arcsinh", "cbrt", "exp", "exp2", "expm1", "log", "log10", "log1p", "log2", "negative", "sinh", "sqrt", "square"
    )
}  # fmt: skip
"""Functions of a `FunctionTransformer` or a `TransformedTargetRegressor`."""

TYPES: dict[str, type] = {
    "float64": np.float64, "float32": np.float32, "int64": np.int64, "int32": np.int32, "bool_": np.bool_,
    "number": np.number, "object_": np.object_, "object": object, "float": float, "int": int, "bool": bool, "str": str,
}  # fmt: skip

FITTED = "fitted"
"""Key that stands for the trained regressor, of which an archive holds one."""

ATTRIBUTE = re.compile(r"[a-z_][a-zA-Z0-9_]{0,60}")

MAX_DEPTH = 12

MAX_TEXT = 10_000

DTYPES = ("float64", "float32", "int64", "int32")
"""Dtypes of arrays as they are stored; others are stored as one of them, and named."""


class Writer:
    """Encodes estimators as JSON, and collects their arrays.

    Parameters
    ----------
    leaf : callable
        Encodes what is not of these classes, or raises `Refused`.
    """

    def __init__(self, leaf: Callable[[Any, str], Any]) -> None:
        self._leaf = leaf
        self.arrays: dict[str, np.ndarray] = {}

    def encode(self, value: Any, where: str) -> Any:
        """Encode an estimator, or a value of its attributes.

        Raises
        ------
        Refused
            If it cannot be saved; the message names it.
        """
        if value is None or isinstance(value, (bool, str)) or type(value) is int:
            return value
        if type(value) is float:
            return value if math.isfinite(value) else {"float": repr(value)}
        if isinstance(value, np.ndarray):
            return self._array(value, where)
        if isinstance(value, np.generic):
            return {"number": self._array(np.asarray(value), where)}
        if isinstance(value, np.dtype) and value.kind in "fiubO":
            return {"dtype": value.str}
        if isinstance(value, type) and value in TYPES.values():
            return {"type": next(name for name, known in TYPES.items() if known is value)}
        if isinstance(value, np.ufunc) and value in FUNCTIONS.values():
            return {"function": next(name for name, known in FUNCTIONS.items() if known is value)}
        if isinstance(value, slice):
            return {"slice": [self.encode(end, where) for end in (value.start, value.stop, value.step)]}
        if type(value) in (list, tuple):
            if len(value) > 1 and isinstance(value[0], str) and hasattr(value[1], "get_params"):
                where = f"the step {value[0]!r}"
            return {type(value).__name__: [self.encode(entry, where) for entry in value]}
        if isinstance(value, dict):
            return {"dict": [[self.encode(key, where), self.encode(entry, where)] for key, entry in value.items()]}
        if type(value) is CLASSES.get(type(value).__name__):
            attributes = {name: self.encode(entry, _inside(where, name)) for name, entry in _state(value).items()}
            return {"class": type(value).__name__, "attributes": attributes}
        return self._leaf(value, where)

    def _array(self, array: np.ndarray, where: str) -> Any:
        if array.dtype.kind in "OU":
            entries = [self.encode(entry, where) for entry in array.ravel().tolist()]
            return {"objects": entries, "shape": list(array.shape), "words": array.dtype.kind == "U"}
        if array.dtype.kind not in "fiub":
            raise Refused(f"{where} has dtype {array.dtype}, which cannot be saved")
        stored = array
        if array.dtype.name not in DTYPES:
            stored = array.astype("float64" if array.dtype.kind == "f" else "int64")
        name = f"steps/{len(self.arrays)}"
        self.arrays[name] = stored
        return {"array": name, "dtype": array.dtype.name}


class Reader:
    """Decodes what `Writer` has encoded; everything in it is checked.

    Parameters
    ----------
    leaf : callable
        Decodes what is not of these classes, or raises `Refused`.
    array : callable
        Returns a declared array by its name.
    """

    def __init__(self, leaf: Callable[[Any, str], Any], array: Callable[[str], np.ndarray]) -> None:
        self._leaf, self._array = leaf, array

    def decode(self, value: Any, where: str, depth: int = 0) -> Any:
        """Decode an estimator or a value.

        Raises
        ------
        Refused
            If it is nothing that `Writer` writes.
        """
        if depth > MAX_DEPTH:
            raise Refused(f"{where:.60} is nested too deeply")
        if value is None or isinstance(value, bool) or type(value) in (int, float):
            return value
        if isinstance(value, str) and len(value) <= MAX_TEXT:
            return value
        if isinstance(value, dict) and "class" in value:
            return self._object(value, where, depth)
        if isinstance(value, dict):
            made = self._plain(value, where, depth)
            if made is not None:
                return made
        return self._leaf(value, where)

    def _object(self, value: dict[str, Any], where: str, depth: int) -> Any:
        cls, attributes = CLASSES.get(str(value["class"])), value.get("attributes")
        if cls is None or not isinstance(attributes, dict):
            return self._leaf(value, where)
        for name in attributes:
            if not ATTRIBUTE.fullmatch(name) or name.startswith("__") or hasattr(cls, name) or attributes.get("memory"):
                raise Refused(f"{where} cannot have an attribute {name!r:.40}")
        made: Any = object.__new__(cls)
        made.__dict__.update({n: self.decode(v, _inside(where, n), depth + 1) for n, v in attributes.items()})
        return made

    def _plain(self, value: dict[str, Any], where: str, depth: int) -> Any:
        """Value of one tag, or None if there is no such tag."""
        kind = next(iter(value), "")
        entry = value.get(kind)

        def decoded(entries: Any) -> list[Any]:
            if not isinstance(entries, list):
                raise Refused(f"{where} must hold a list")
            return [self.decode(each, where, depth + 1) for each in entries]

        if kind == "array" and isinstance(entry, str) and entry.startswith("steps/"):
            return self._numbers(entry, value.get("dtype"), where)
        if kind == "objects":
            return self._objects(decoded(entry), value, where)
        if len(value) != 1:
            return None
        if kind == "number":
            made = self.decode(entry, where, depth + 1)
            if isinstance(made, np.ndarray) and made.ndim == 0 and made.dtype.kind in "fiub":
                return made[()]
        if kind == "float" and entry in ("nan", "inf", "-inf"):
            return float(entry)
        if kind == "dtype" and isinstance(entry, str) and re.fullmatch(r"[<|>=][fiubO]\d{0,2}", entry):
            return np.dtype(entry)
        if kind == "type" and isinstance(entry, str) and entry in TYPES:
            return TYPES[entry]
        if kind == "function" and isinstance(entry, str) and entry in FUNCTIONS:
            return FUNCTIONS[entry]
        if kind == "slice" and isinstance(entry, list) and len(entry) == 3:
            return slice(*decoded(entry))
        if kind in ("list", "tuple"):
            return decoded(entry) if kind == "list" else tuple(decoded(entry))
        if kind == "dict" and isinstance(entry, list):
            pairs = [decoded(pair) for pair in entry]
            if all(len(pair) == 2 and isinstance(pair[0], (str, int, float)) for pair in pairs):
                return dict(pairs)
        return None

    def _numbers(self, name: str, dtype: Any, where: str) -> np.ndarray:
        if not isinstance(dtype, str) or not re.fullmatch(r"(float|u?int)\d{1,2}|bool", dtype):
            raise Refused(f"{where} cannot be of dtype {dtype!r:.40}")
        return self._array(name).astype(dtype)

    def _objects(self, entries: list[Any], value: dict[str, Any], where: str) -> np.ndarray:
        shape = value.get("shape")
        if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
            raise Refused(f"{where} has no shape")
        if math.prod(shape) != len(entries):
            raise Refused(f"{where} is no array of words")
        made = np.empty(len(entries), dtype=object)
        for index, entry in enumerate(entries):
            made[index] = entry
        return np.array(made.reshape(shape), dtype=str if value.get("words") is True else object)


def refuse_step(value: Any, where: str) -> Any:
    """Raise `Refused` for an object that cannot be saved, naming the way out."""
    known = ", ".join(sorted(set(CLASSES) - {"Pipeline", "make_column_selector"}))
    what = f"the function {getattr(value, '__name__', value)!s:.40}" if callable(value) else f"a {type(value).__name__}"
    raise Refused(
        f"{where} is {what}, which an archive cannot hold; steps may be {known}, with functions of NumPy such as log1p "
        f"only. Save the regressor alone, and transform X before you call it, or keep the whole with joblib"
    )


def check_version(version: Any) -> None:
    """Warn if transformers were written by another version of scikit-learn, whose attributes may differ."""
    if version != sklearn.__version__:
        warnings.warn(
            f"the transformers were saved with scikit-learn {version!s:.20}, and this is {sklearn.__version__}: "
            f"compare some predictions with those of the original",
            UserWarning,
            stacklevel=4,
        )


def _state(value: Any) -> dict[str, Any]:
    """Attributes to save: all, except for a folder that a pipeline writes to when it is fitted."""
    return {name: None if name == "memory" else entry for name, entry in vars(value).items()}


def _inside(where: str, name: str) -> str:
    return f"{where}, {name}" if where else name
