"""Context of the active pass; private to this package.

Two things reach layers without being passed as arguments: the pass, which supplies noise and collects KL, and the
values that replace those of variables. Both are context variables, so threads and nested passes do not interfere.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

__all__ = ["active_pass", "active_values", "entered", "taking"]

_pass: ContextVar[Any] = ContextVar("varbump_pass", default=None)

_values: ContextVar[dict[Any, Any] | None] = ContextVar("varbump_values", default=None)


def active_pass() -> Any:
    """Return the `ForwardPass` of the innermost active `apply`, or None outside of any."""
    return _pass.get()


def active_values() -> dict[Any, Any] | None:
    """Return the values that replace those of variables, by reference, or None if there are none."""
    return _values.get()


@contextmanager
def entered(forward: Any) -> Iterator[Any]:
    """Have layers take their noise from this pass, inside the block."""
    token = _pass.set(forward)
    try:
        yield forward
    finally:
        _pass.reset(token)


@contextmanager
def taking(values: dict[Any, Any]) -> Iterator[None]:
    """Have variables read their values from this dict, and assign to it, inside the block."""
    token = _values.set(values)
    try:
        yield
    finally:
        _values.reset(token)
