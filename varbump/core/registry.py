"""Registry of the classes of families, priors, likelihoods and layers, by name.

Archives refer to classes by their keys in this registry, and nothing named in a file is ever imported. Classes register
themselves; a list of all likelihoods, say, is that of the registered subclasses of `Likelihood`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from varbump.core.keras import keras

__all__ = ["by_short_name", "key_of_class", "register", "register_builtin", "registered"]

Class = TypeVar("Class", bound=type)

NAME = re.compile(r"[A-Za-z_]\w{0,99}")

USER = "custom"
"""Package part of the keys of user-defined classes; that of ours is `varbump`."""

_classes: dict[str, type] = {}


def register(name: str) -> Callable[[Class], Class]:
    """Decorate a likelihood, prior, family or layer of your own, so that it can be saved and loaded under `name`.

    Loading needs the same registration: a file stores only the name, and nothing is imported from it. Registering a
    class again under its name, as when a notebook cell is run twice, replaces the previous one.

    Parameters
    ----------
    name : str
        A word, such as "MyCounts".

    Raises
    ------
    ValueError
        If `name` is not a word.
    TypeError
        If the decorated object is not a class, or lacks a method that its base requires.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(f"name must be a word such as 'MyCounts', got {name!r}")
    return _registrar(USER, name)


def register_builtin(name: str) -> Callable[[Class], Class]:
    """Decorate a class of this package, whose key is ``varbump>name``."""
    return _registrar("varbump", name)


def _registrar(package: str, name: str) -> Callable[[Class], Class]:
    def decorate(cls: Class) -> Class:
        if not isinstance(cls, type):
            raise TypeError(f"register({name!r}) decorates a class, got {cls!r}")
        check = getattr(cls, "check_definition", None)
        if check is not None:
            check()
        keras.saving.register_keras_serializable(package, name)(cls)
        _classes[f"{package}>{name}"] = cls
        return cls

    return decorate


def registered(base: type[Any]) -> dict[str, type[Any]]:
    """Return registered subclasses by their keys, such as ``varbump>MeanFieldNormal`` or ``custom>MyCounts``."""
    return {key: cls for key, cls in sorted(_classes.items()) if issubclass(cls, base)}


def key_of_class(cls: type) -> str | None:
    """Return the key of a class, or None if it is not registered."""
    return next((key for key, known in _classes.items() if known is cls), None)


def by_short_name(base: type[Any]) -> dict[str, type[Any]]:
    """Return registered subclasses that define a short name, such as "mean_field", by that name."""
    named = {cls.__dict__["short_name"]: cls for cls in registered(base).values() if cls.__dict__.get("short_name")}
    return dict(sorted(named.items()))
