"""Compiled programs, shared by all networks of one structure.

Compiling takes seconds and leaves tens of megabytes; running takes milliseconds. A program here is a
function of its arguments only: data, seeds, and the values of all variables. It can therefore be used by any network
of its structure, any member of an ensemble and any thread. When there are too many programs, the least recently used
ones are dropped.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import tensorflow as tf
from rich.console import Console

from varbump.core.executables import executing, make_room, release_executables
from varbump.core.interrupts import uninterrupted
from varbump.core.keras import full_name, unwrapped
from varbump.core.printed import Printed, Table
from varbump.core.tracing import forget_custom_gradients, without_tracebacks
from varbump.forward.structure import token

__all__ = ["Compiled", "Programs", "clear_programs", "compiled", "program", "programs", "remembered", "tracing"]

MAX_PROGRAMS = 64
"""Largest number of programs that are kept; each holds 10 to 40 MB."""

_lock = threading.RLock()
_held: OrderedDict[Hashable, _Program] = OrderedDict()
_not_shared: set[Hashable] = set()
_facts: OrderedDict[Hashable, Any] = OrderedDict()


@dataclass
class _Program:
    """Compiled function with statistics of its use."""

    kind: str
    of: str
    call: Any = None
    calls: int = 0
    seconds: float = 0.0
    running: threading.RLock = field(default_factory=threading.RLock)


class Compiled:
    """XLA program of a function of tensors, which compiles anew for each structure and shapes of its arguments.

    The function is wrapped in a partial, since TensorFlow identifies functions by their code to warn of excessive
    retracing: it would otherwise take each new network for a retracing of the last one.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = tf.function(partial(function), jit_compile=True, autograph=False)
        self._graph: Any = None

    def trace(self, *arguments: Any) -> Any:
        """Trace the function for tensors like these, or for specs, if that has not been done yet."""
        with without_tracebacks():
            concrete = self._function.get_concrete_function(*arguments)
        if concrete.graph is not self._graph:  # not in every call: samplers make hundreds
            make_room()
            forget_custom_gradients(concrete.graph)
            self._graph = concrete.graph
        return concrete

    def __call__(self, *arguments: Any) -> Any:
        """Values of the function."""
        arguments = tf.nest.map_structure(_tensor, arguments)
        concrete = self.trace(*arguments)
        with executing():
            return concrete(*arguments)


@dataclass(frozen=True, repr=False)
class Programs(Printed):
    """Summary of the compiled programs, returned by `varbump.programs`; prints as a table.

    Attributes
    ----------
    rows : tuple of (kind, network, calls, seconds)
        One row per program, the most recently used last; seconds are those of tracing and compiling it.
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
    """List the compiled programs of this process, which networks of the same structure share."""
    with _lock:
        return Programs(tuple((p.kind, p.of, p.calls, p.seconds) for p in _held.values()))


def clear_programs() -> None:
    """Drop all compiled programs and free their memory; later fits and predictions compile again.

    The machine code of other functions that XLA has compiled for the CPU goes too, so no other thread may be running
    one of those meanwhile. While another thread fits or predicts, machine code stays. In a process that goes through
    hundreds of structures of networks it is freed without this call, too, before Linux runs out of mappings for it.
    """
    with _lock:
        _held.clear()
        _not_shared.clear()
        _facts.clear()
        gc.collect()
        release_executables()
        _give_back()


@contextmanager
def tracing() -> Iterator[None]:
    """Context manager that lets only one thread at a time trace a network, and puts Ctrl-C off meanwhile."""
    with uninterrupted(), _lock:
        yield


def remembered(key: Hashable, make: Callable[[], Any]) -> Any:
    """Return the result of `make`, computed once for each key; for facts that are found by tracing."""
    with _lock:
        if key not in _facts:
            _facts[key] = make()
            while len(_facts) > 4 * MAX_PROGRAMS:
                _facts.popitem(last=False)
        _facts.move_to_end(key)
        return _facts[key]


def compiled(function: Callable[..., Any]) -> Compiled:
    """Compile `function` as one XLA program that is not shared."""
    return Compiled(function)


def program(kind: str, structure: Hashable, make: Callable[[], Callable[..., Any]], owner: Any) -> Callable[..., Any]:
    """Return a function of tensors that is compiled once for each structure and shapes of arguments.

    Parameters
    ----------
    kind : str
        Human-readable purpose; part of the key.
    structure : hashable
        Everything that the computation depends on besides its arguments.
    make : callable
        Makes the Python function to compile if there is no such program yet. All values that may differ between uses
        must be arguments of the function.
    owner : object
        The network that it is compiled for. If the function captures a tensor that is not an argument, such as one
        stored by a user's layer, the program is not shared with other networks.

    Returns
    -------
    callable
        Takes nests of tensors or arrays, and returns nests of tensors.
    """

    def call(*arguments: Any) -> Any:
        with uninterrupted():
            return run(*arguments)

    def run(*arguments: Any) -> Any:
        arguments = tf.nest.map_structure(_tensor, arguments)
        shapes = tuple(None if a is None else (tuple(a.shape), a.dtype) for a in tf.nest.flatten(arguments))
        sizes = tuple(len(tf.nest.flatten(a)) for a in arguments)
        found = _find((kind, structure, shapes, sizes), kind, make, owner, arguments)
        if found.calls:
            found.calls += 1
            with executing():
                return found.call(*arguments)
        with found.running, executing():  # XLA compiles now
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
            key = (key, token(owner))
        if key in _held:
            _held.move_to_end(key)
            return _held[key]
        began = time.perf_counter()
        concrete = compiled(make()).trace(*tf.nest.map_structure(_spec, arguments))
        _check_reads(concrete, owner)
        if concrete.graph.captures and key not in _not_shared:
            _not_shared.add(key)
            key = (key, token(owner))
        made = _Program(kind, getattr(owner, "name", ""), concrete, seconds=time.perf_counter() - began)
        _held[key] = made
        while len(_held) > MAX_PROGRAMS:
            _held.popitem(last=False)
        return made


def _check_reads(concrete: Any, owner: Any) -> None:
    """Raise a TypeError if a weight is read past the values that the program is given for it."""
    captured = {id(outer) for outer, _ in concrete.graph.captures}
    for variable in map(unwrapped, getattr(owner, "variables", [])):
        if id(variable.handle) in captured:
            raise TypeError(
                f"weight {full_name(variable)} is read inside of a tf.function that a layer has of its own; remove the "
                f"decorator there: all of the computation is compiled anyway"
            )


def _give_back() -> None:
    """Return to the system what compiling has used and freed, which glibc keeps: half of what a program leaves."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)


def _tensor(value: Any) -> Any:
    return None if value is None else tf.convert_to_tensor(value)


def _spec(value: Any) -> Any:
    return None if value is None else tf.TensorSpec(value.shape, value.dtype)
