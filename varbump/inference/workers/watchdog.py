"""A thread that ends a collective for which the other workers keep this one waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf
from tensorflow.python.eager import context

__all__ = ["Watchdog"]

PAUSE = 0.25
"""Seconds between two looks at the clock."""


class Watchdog:
    """Limit of the time of collectives; also a context manager that ends its thread.

    A collective waits without a limit for workers that do not answer. Those of TensorFlow take a time limit, too, but
    then leave a sleeping thread behind for each call, and there are hundreds of calls a second.
    """

    def __init__(self) -> None:
        self._deadline: float | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="varbump-watchdog", daemon=True)

    def __enter__(self) -> Watchdog:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    @contextmanager
    def limit(self, seconds: float) -> Iterator[None]:
        """Context manager of a collective, which raises a `tf.errors.DeadlineExceededError` after these seconds."""
        self._deadline = time.monotonic() + seconds
        try:
            yield
        finally:
            self._deadline = None

    def _run(self) -> None:
        while not self._ended.wait(PAUSE):
            deadline = self._deadline
            if deadline is not None and time.monotonic() > deadline:
                context.context().abort_collective_ops(tf.errors.DEADLINE_EXCEEDED, "no answer in time")
                return
