"""What a pass knows while it is under way: private to this package.

Two things reach layers without being handed through every call: the pass, which gives noise and collects KL, and the
values that variables are taken to have. Both are context variables, so that threads and nested passes do not meet.
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
    """The `ForwardPass` of the `apply` that is under way, or None outside of any."""
    return _pass.get()


def active_values() -> dict[Any, Any] | None:
    """What variables are taken to be, by reference, or None where they are what they hold."""
    return _values.get()


@contextmanager
def entered(forward: Any) -> Iterator[None]:
    """Inside the block, layers take their noise from this pass."""
    token = _pass.set(forward)
    try:
        yield
    finally:
        _pass.reset(token)


@contextmanager
def taking(values: dict[Any, Any]) -> Iterator[None]:
    """Inside the block, variables are what this dict says; what is assigned to them goes into it."""
    token = _values.set(values)
    try:
        yield
    finally:
        _values.reset(token)
