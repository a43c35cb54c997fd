"""Objects that are configured by the arguments of their `__init__`, read back as attributes of the same name."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from varbump.core.keras import deserialize, serialize

__all__ = ["Configured"]


class Configured:
    """Base with the two methods that copying, comparing and saving go through, as in scikit-learn.

    A class that keeps each argument of its `__init__` as an attribute of the same name has nothing to add.
    """

    def get_config(self) -> dict[str, Any]:
        """Arguments that make an equal object.

        Raises
        ------
        TypeError
            If an argument of `__init__` is not an attribute too.
        """
        return {name: _plain(self._argument(name)) for name in _arguments(type(self))}

    def _argument(self, name: str) -> Any:
        try:
            return getattr(self, name)
        except AttributeError as error:
            raise TypeError(
                f"{type(self).__name__} has no attribute {name!r}: keep the argument of __init__ under its name, "
                f"self.{name} = {name}, or write a get_config that returns all arguments"
            ) from error

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Make an object from what `get_config` returned."""
        is_object = {name: isinstance(value, dict) and "class_name" in value for name, value in config.items()}
        return cls(**{name: deserialize(value) if is_object[name] else value for name, value in config.items()})


def _arguments(cls: type) -> Iterator[str]:
    """Names of the arguments of `__init__`, and of that of the next base for as long as there is a ``**kwargs``."""
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = list(inspect.signature(base.__init__).parameters.values())[1:]  # type: ignore[misc]
        yield from (p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD))
        if not any(p.kind == p.VAR_KEYWORD for p in parameters):
            return


def _plain(value: Any) -> Any:
    """What JSON knows; objects as tf_keras writes them."""
    if isinstance(value, (tf.Variable, tf.Tensor)):
        value = value.numpy()
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return serialize(value) if hasattr(value, "get_config") else value
