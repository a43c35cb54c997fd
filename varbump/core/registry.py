"""Which classes of families, priors, likelihoods and layers there are, under which names.

Archives name classes by their keys here, and nothing that a file says is ever imported. A class registers itself; who
needs a list of likelihoods, say, asks for the registered subclasses of `Likelihood`.
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
"""Package part of the keys of users' own classes; `varbump` is that of ours."""

_classes: dict[str, type] = {}


def register(name: str) -> Callable[[Class], Class]:
    """Class decorator: a likelihood, prior, family or layer of your own can be saved and loaded under `name`.

    Loading needs the same registration: a file gives the name only, and nothing is imported from it. A class that is
    registered again under its name, as when a notebook cell is run twice, takes the place of the former.

    Parameters
    ----------
    name : str
        A word, such as "MyCounts".

    Raises
    ------
    ValueError
        If `name` is not a word.
    TypeError
        If what is decorated is not a class, or lacks a method that its base needs.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(f"name must be a word such as 'MyCounts', got {name!r}")
    return _registrar(USER, name)


def register_builtin(name: str) -> Callable[[Class], Class]:
    """Class decorator for the classes of the package: the same under ``varbump>name``."""
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
    """Registered subclasses of a class, by their keys, such as ``varbump>MeanFieldNormal`` or ``custom>MyCounts``."""
    return {key: cls for key, cls in sorted(_classes.items()) if issubclass(cls, base)}


def key_of_class(cls: type) -> str | None:
    """The key of a class; None where it is not registered."""
    return next((key for key, known in _classes.items() if known is cls), None)


def by_short_name(base: type[Any]) -> dict[str, type[Any]]:
    """Registered subclasses that have a short name of their own, such as "mean_field", by that name."""
    named = {cls.__dict__["short_name"]: cls for cls in registered(base).values() if cls.__dict__.get("short_name")}
    return dict(sorted(named.items()))
