"""Compiled programs, shared by all networks of one structure.

Compiling takes seconds and leaves memory behind that TensorFlow never frees; running takes milliseconds. A program
here is a function of its arguments alone: data, seeds, and the values of all variables. So it serves any network of
its structure, any member of an ensemble and any thread. The least recently used ones go when there are too many.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import tensorflow as tf
from rich.console import Console

from varbump.core.printed import Printed, Table

__all__ = ["Programs", "clear_programs", "compiled", "program", "programs", "remembered", "tracing"]

MAX_PROGRAMS = 128
"""More are not held."""

_lock = threading.RLock()
_held: OrderedDict[Hashable, _Program] = OrderedDict()
_not_shared: set[Hashable] = set()
_facts: OrderedDict[Hashable, Any] = OrderedDict()


@dataclass
class _Program:
    """A compiled function and what can be said of it."""

    kind: str
    of: str
    call: Any = None
    calls: int = 0
    seconds: float = 0.0
    running: threading.RLock = field(default_factory=threading.RLock)


@dataclass(frozen=True)
class Programs(Printed):
    """Result of `varbump.programs`; printed, a table.

    Attributes
    ----------
    rows : tuple of (kind, what for, calls, seconds)
        Of each program that is held, the most recently used one last; seconds of its first call, which compiled it.
    """

    rows: tuple[tuple[str, str, int, float], ...]

    def __len__(self) -> int:
        return len(self.rows)

    def __rich_console__(self, console: Console, options: Any) -> Any:
        table = Table(title=f"{len(self.rows)} compiled programs, at most {MAX_PROGRAMS}", title_justify="left")
        table.add_column("program")
        table.add_column("for")
        table.add_column("calls", justify="right")
        table.add_column("seconds to compile", justify="right")
        for kind, of, calls, seconds in self.rows:
            table.add_row(kind, of, f"{calls:,}", f"{seconds:.2f}")
        yield table


def programs() -> Programs:
    """The compiled programs that this process holds, to be shared by networks of the same structure."""
    with _lock:
        return Programs(tuple((p.kind, p.of, p.calls, p.seconds) for p in _held.values()))


def clear_programs() -> None:
    """Forget all compiled programs: the next fits and predictions compile anew.

    TensorFlow keeps the machine code, so that little memory comes back.
    """
    with _lock:
        _held.clear()
        _not_shared.clear()
        _facts.clear()


def tracing() -> Any:
    """Context manager: only one thread at a time goes through a network's layers to trace it."""
    return _lock


def remembered(key: Hashable, make: Callable[[], Any]) -> Any:
    """What `make` returns, made once for each key: facts that it takes a trace to know."""
    with _lock:
        if key not in _facts:
            _facts[key] = make()
            while len(_facts) > 4 * MAX_PROGRAMS:
                _facts.popitem(last=False)
        _facts.move_to_end(key)
        return _facts[key]


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` as one XLA program, for what is compiled once and thrown away.

    Wrapped in a partial, since TensorFlow warns of excessive retracing by line of code: for it, each network that is
    trained or evaluated for the first time would be a retracing of the last one.
    """
    return tf.function(partial(function), jit_compile=True, autograph=False)


def program(kind: str, structure: Hashable, make: Callable[[], Callable[..., Any]], owner: Any) -> Callable[..., Any]:
    """A function of tensors, compiled once for all that have the same structure and the same shapes of arguments.

    Parameters
    ----------
    kind : str
        What it does, for people; a part of the key.
    structure : hashable
        All that the computation depends on besides its arguments.
    make : callable
        Makes the Python function to compile, if there is no such program yet. It must take all values that differ
        between two of its uses as arguments.
    owner : object
        The network in whose name it is compiled. Should the function read something of it that is no argument, such
        as a tensor that a layer of a user keeps, the program is not shared with others.

    Returns
    -------
    callable
        Takes nests of tensors or arrays, and returns nests of tensors.
    """

    def call(*arguments: Any) -> Any:
        arguments = tf.nest.map_structure(_tensor, arguments)
        shapes = tuple(None if a is None else (tuple(a.shape), a.dtype) for a in tf.nest.flatten(arguments))
        found = _find((kind, structure, shapes), kind, make, owner, arguments)
        if found.calls:
            found.calls += 1
            return found.call(*arguments)
        with found.running:  # XLA compiles now
            began = time.perf_counter()
            result = found.call(*arguments)
            if not found.calls:
                found.seconds += time.perf_counter() - began
                _give_back()
            found.calls += 1
        return result

    return call


def _find(key: Hashable, kind: str, make: Callable[[], Any], owner: Any, arguments: Any) -> _Program:
    with _lock:
        if key in _not_shared:
            key = (key, _token(owner))
        if key in _held:
            _held.move_to_end(key)
            return _held[key]
        began = time.perf_counter()
        function = tf.function(partial(make()), jit_compile=True, autograph=False)
        concrete = function.get_concrete_function(*tf.nest.map_structure(_spec, arguments))
        if concrete.graph.captures and key not in _not_shared:
            _not_shared.add(key)
            key = (key, _token(owner))
        made = _Program(kind, getattr(owner, "name", ""), concrete, seconds=time.perf_counter() - began)
        _held[key] = made
        while len(_held) > MAX_PROGRAMS:
            _held.popitem(last=False)
        return made


def _give_back() -> None:
    """Return to the system what compiling has used and freed, which glibc keeps: half of what a program leaves."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)


def _token(owner: Any) -> Hashable:
    """What stands for an object in a key, without keeping it alive."""
    token = owner.__dict__.get("_varbump_token")
    if token is None:
        token = object()
        object.__setattr__(owner, "_varbump_token", token)
    return token


def _tensor(value: Any) -> Any:
    return None if value is None else tf.convert_to_tensor(value)


def _spec(value: Any) -> Any:
    return None if value is None else tf.TensorSpec(value.shape, value.dtype)
