"""Describe what no configuration describes, by what it holds, in values that JSON can store and that can be compared.

Two functions are equal if their code is, and the values that it reads: defaults, closures and globals. Two objects are
equal if the code of their classes is, and all their attributes. Parts of libraries are known by their names.
"""

from __future__ import annotations

import dis
import enum
import functools
import hashlib
import inspect
import json
import types
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import numpy as np
import tensorflow as tf

from varbump.core.keras import is_of_keras, keras, unwrapped
from varbump.forward.structure import Undescribable

__all__ = ["attributes", "described", "foreign"]

LIBRARIES = {
    "builtins", "collections", "functools", "itertools", "keras", "math", "numpy", "operator", "scipy", "sklearn",
    "tensorflow", "tensorflow_probability", "tf_keras", "varbump",
}  # fmt: skip
"""Packages whose functions and classes are known by their names; their versions are not compared."""

NOT_COMPARED = {"name", "reduction", "_varbump_token", "_varbump_temperature"}
"""Attributes that no computation depends on."""

OF_CLASSES = {"__dict__", "__weakref__", "__doc__", "__module__", "__annotations__", "__qualname__", "__slots__",
              "__firstlineno__", "__static_attributes__", "__abstractmethods__", "_abc_impl", "__parameters__",
              "__orig_bases__", "__annotate__", "__annotate_func__"}  # fmt: skip
"""Attributes of classes that do not belong to what they compute."""


def foreign(value: Any) -> bool:
    """Whether a value is a function or an object of a user's own, which its name does not identify."""
    if isinstance(value, (list, tuple)):
        return any(foreign(entry) for entry in value)
    if isinstance(value, functools.partial):
        return True
    if inspect.isfunction(value) or inspect.ismethod(value) or isinstance(value, type):
        return not _of_library(value)
    return not _of_library(type(value))


def attributes(part: Any) -> dict[str, Any]:
    """Attributes of an object that a user's class adds to those of Keras and of this package.

    The others follow from the configuration, or are state.
    """
    without = _stored_by_ours(type(part)) | NOT_COMPARED
    if isinstance(part, keras.layers.Layer):
        without |= _bare_names()
    return {name: value for name, value in getattr(part, "__dict__", {}).items() if name not in without}


def described(value: Any, variables: Any = ()) -> str:
    """Describe a value by what it holds, as a checksum.

    Parameters
    ----------
    value : object
    variables : iterable of tf.Variable
        Variables whose values are part of the state, or compared elsewhere; only their shapes count here.

    Raises
    ------
    Undescribable
        If it holds something else than numbers, text, arrays, functions, modules, classes, and objects and containers
        of these, such as an open file or a lock.
    """
    try:
        text = json.dumps(_Describer({id(v) for v in variables}).of(value), sort_keys=True)
    except RecursionError as error:
        raise Undescribable(f"{type(value).__name__} that is nested deeply") from error
    return hashlib.sha256(text.encode()).hexdigest()


def _of_library(what: Any) -> bool:
    return str(getattr(what, "__module__", None)).split(".")[0] in LIBRARIES


@functools.cache
def _bare_names() -> frozenset[str]:
    """Attributes that every layer of Keras has."""

    class Bare(keras.Model):
        def call(self, inputs: Any) -> Any:
            return inputs

    x = keras.Input((1,))
    layer, model = keras.layers.Activation("linear"), Bare()
    layer(x), model(x)
    return frozenset([*vars(layer), *vars(model)]) - {"activation"}


def _stored_by_ours(cls: type) -> frozenset[str]:
    """Names of the attributes that methods of this package assign to in objects of a user's class."""
    if _of_library(cls):
        return frozenset()
    ours = [base for base in cls.__mro__ if base.__module__.startswith("varbump.")]
    codes = [f.__code__ for base in ours for f in vars(base).values() if inspect.isfunction(f)]
    return frozenset(i.argval for code in codes for i in dis.get_instructions(code) if i.opname == "STORE_ATTR")


class _Describer:
    """Describe values; one that holds itself is referred to by how far outside it is."""

    def __init__(self, variables: set[int]) -> None:
        self._variables = variables
        self._within: list[int] = []
        self._known: dict[int, tuple[Any, Any]] = {}  # with the objects, so that no other gets their address

    def of(self, value: Any) -> Any:
        if value is None or (isinstance(value, (bool, int, float, str)) and not isinstance(value, enum.Enum)):
            return value
        if id(value) in self._within:
            return ["again", self._within.index(id(value))]
        if id(value) not in self._known:
            self._within.append(id(value))
            self._known[id(value)] = value, self._of_new(value)
            self._within.pop()
        return self._known[id(value)][1]

    def _of_new(self, value: Any) -> Any:
        if isinstance(value, (complex, bytes, np.dtype, tf.DType, tf.TensorShape, PurePath, enum.Enum, range, slice)):
            return [type(value).__name__, str(value)]
        if isinstance(unwrapped(value), tf.Variable):
            known = {id(value), id(unwrapped(value))} & self._variables
            shape = [type(value).__name__, list(value.shape), tf.as_dtype(value.dtype).name]
            return shape if known else [*shape, self.of(value.numpy())]
        if isinstance(value, (np.ndarray, np.generic)) or (tf.is_tensor(value) and hasattr(value, "numpy")):
            return self._array(np.asarray(value))
        if isinstance(value, Mapping):
            return ["mapping", sorted(([self.of(k), self.of(v)] for k, v in value.items()), key=json.dumps)]
        if isinstance(value, (list, tuple)):
            return [self.of(entry) for entry in value]
        if isinstance(value, (set, frozenset)):
            return ["set", sorted((self.of(entry) for entry in value), key=json.dumps)]
        if isinstance(value, types.ModuleType):
            return ["module", value.__name__]
        if isinstance(value, functools.partial):
            return ["partial", self.of(value.func), self.of(value.args), self.of(value.keywords)]
        if isinstance(value, type):
            return self._class(value)
        if inspect.ismethod(value):
            return ["method", self.of(value.__func__), self.of(value.__self__)]
        if hasattr(value, "python_function"):  # of a tf.function
            return ["tf.function", self.of(value.python_function)]
        if inspect.isfunction(value):
            return self._function(inspect.unwrap(value))
        if isinstance(value, (types.BuiltinFunctionType, np.ufunc)):
            return ["built in", value.__name__]
        if isinstance(value, (property, staticmethod, classmethod, functools.cached_property)):
            names = ("fget", "fset", "__func__", "func")
            return [type(value).__name__, *(self.of(getattr(value, name, None)) for name in names)]
        return self._object(value)

    def _array(self, array: np.ndarray) -> Any:
        if array.dtype.hasobject:
            return ["array", list(array.shape), self.of(array.ravel().tolist())]
        content = np.ascontiguousarray(array)
        return ["array", list(array.shape), array.dtype.str, hashlib.sha256(content.tobytes()).hexdigest()]

    def _function(self, function: Any) -> Any:
        name = f"{function.__module__}.{function.__qualname__}"
        if _of_library(function) and "<" not in name:
            return ["function", name]
        cells = [_content(cell) for cell in function.__closure__ or ()]
        held = [function.__defaults__, function.__kwdefaults__, cells, self._globals(function)]
        return ["function", self._code(function.__code__), [self.of(part) for part in held]]

    def _globals(self, function: Any) -> dict[str, Any]:
        """Values of the globals that a function reads."""
        names, codes = set(), [function.__code__]
        for code in codes:
            codes += [const for const in code.co_consts if isinstance(const, types.CodeType)]
            names |= {i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
        return {name: function.__globals__[name] for name in sorted(names) if name in function.__globals__}

    def _code(self, code: types.CodeType) -> str:
        consts = [self._code(c) if isinstance(c, types.CodeType) else repr(_sorted(c)) for c in code.co_consts]
        parts = [code.co_code, code.co_names, code.co_varnames, code.co_flags, consts]
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def _class(self, cls: type) -> Any:
        if _of_library(cls):
            return ["class", f"{cls.__module__}.{cls.__qualname__}"]
        own = {name: value for name, value in sorted(vars(cls).items()) if name not in OF_CLASSES}
        held = {name: self.of(value) for name, value in own.items() if not isinstance(value, _SLOT)}
        return ["class", cls.__name__, [self.of(base) for base in cls.__bases__], held]

    def _object(self, value: Any) -> Any:
        of_library, held = _of_library(type(value)), getattr(value, "__dict__", None)
        if of_library and hasattr(value, "get_config"):
            held = value.get_config()
        elif of_library and isinstance(getattr(value, "parameters", None), Mapping):  # of a distribution or a bijector
            held = value.parameters
        elif (
            held is None
            or tf.is_tensor(value)
            or type(value).__module__.startswith("tensorflow.")
            or is_of_keras(value)
        ):
            raise Undescribable(type(value).__name__)
        elif not of_library:
            held = {**attributes(value), "of its configuration": _configuration(value)}
        return [
            "object",
            self.of(type(value)),
            {n: self.of(v) for n, v in sorted(held.items()) if n not in NOT_COMPARED},
        ]


def _of_tensorflow(value: Any) -> bool:
    return type(value).__module__.startswith("tensorflow.") or is_of_keras(value)


_SLOT = (types.MemberDescriptorType, types.GetSetDescriptorType)


def _content(cell: Any) -> Any:
    """What a closure holds; None if that is not defined yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _configuration(value: Any) -> Any:
    try:
        return value.get_config()
    except (AttributeError, NotImplementedError):
        return None


def _sorted(const: Any) -> Any:
    """A constant of code whose representation does not depend on hashes."""
    return sorted(const, key=repr) if isinstance(const, frozenset) else const
