"""Ctrl-C at moments when it does no harm.

A KeyboardInterrupt may be raised between any two bytecodes of Python. Inside of TensorFlow it may be swallowed, for
instance by a finaliser, or leave things half done. In a block of `uninterrupted` Ctrl-C is only noted, and raised where
that is safe: at the next `safe_point`, or at the end of the outermost block. People press the keys again if nothing
happens: a second Ctrl-C is answered at the end of the innermost block, and a third at once.

Python raises it in the main thread only. Other threads are `interruptible` by an event, at their safe points.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["interruptible", "is_pending", "safe_point", "uninterrupted"]

# Python handles signals in the main thread only, so one list and one handler are enough for a process.
_arrived: list[Callable[[], Any]] = []
_handlers: list[Any] = []


class _OfThread(threading.local):
    stop: threading.Event | None = None


_of_thread = _OfThread()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Put Ctrl-C off until the end of the outermost such block, or until `safe_point`.

    Python handles signals in the main thread only; in others there is nothing to put off.
    """
    before = signal.getsignal(signal.SIGINT)
    if not _is_main() or not callable(before):
        yield  # not callable: ignored, or handled outside of Python
        return
    if _handlers and before is _handlers[-1]:
        _handlers.append(before)
        try:
            yield
        finally:
            _handlers.pop()
            if len(_arrived) > 1:
                safe_point()
        return

    def note(*arguments: Any) -> None:
        _arrived.append(lambda: before(*arguments))
        if len(_arrived) > 2 - (len(_handlers) == 1) and _handlers:
            safe_point()

    _handlers.append(note)
    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        _handlers.pop()  # first: from here on the handler only notes, so it is sure to be replaced
        signal.signal(signal.SIGINT, before)
        safe_point()


def is_pending() -> bool:
    """Whether a Ctrl-C has been put off, which the next `safe_point` will raise."""
    return bool(_arrived)


def safe_point() -> None:
    """Raise the KeyboardInterrupt of a Ctrl-C that was put off, if there is one, or of the event of this thread."""
    if _is_main():
        if _arrived:
            call = _arrived[0]
            _arrived.clear()
            call()
    elif _of_thread.stop is not None and _of_thread.stop.is_set():
        _of_thread.stop = None  # once, as for one Ctrl-C
        raise KeyboardInterrupt


@contextmanager
def interruptible(stop: threading.Event) -> Iterator[None]:
    """Let this thread, which is not the main one, raise a KeyboardInterrupt at its next safe point after the event."""
    _of_thread.stop = stop
    try:
        yield
    finally:
        _of_thread.stop = None


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()
