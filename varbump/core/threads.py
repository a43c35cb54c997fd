"""Work in several threads that Ctrl-C ends as it would end the same work in the main thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from threading import Event
from typing import Any

from varbump.core.interrupts import interruptible, safe_point, uninterrupted

__all__ = ["in_threads"]

PAUSE = 0.1
"""Seconds after which Ctrl-C is noticed at the latest."""

PATIENCE = 2
"""Number of times that people may press Ctrl-C before running tasks are left to themselves."""


@uninterrupted()
def in_threads(tasks: Sequence[Callable[[], Any]], num_threads: int) -> list[Any]:
    """Run tasks, several at a time, and return their results in order.

    After Ctrl-C each running task gets a KeyboardInterrupt at its next safe point. A task that keeps what it has done
    by then has a result; the others, and those that have not begun, have None.

    Parameters
    ----------
    tasks : sequence of callable ()
    num_threads : int

    Raises
    ------
    KeyboardInterrupt
        If it has ended all tasks.
    Exception
        The first error of a task, once all of them have ended.
    """
    stop, num_interrupts = Event(), 0

    def run(task: Callable[[], Any]) -> Any:
        with interruptible(stop):
            safe_point()
            return task()

    threads = ThreadPoolExecutor(num_threads, "varbump")
    try:
        futures = [threads.submit(copy_context().run, run, task) for task in tasks]
        while wait(futures, PAUSE).not_done:
            try:
                safe_point()
            except KeyboardInterrupt:
                num_interrupts += 1
                stop.set()
                if num_interrupts > PATIENCE:
                    raise
    finally:
        threads.shutdown(wait=False)
    results = [_result(future) for future in futures]
    if num_interrupts and all(result is None for result in results):
        raise KeyboardInterrupt
    return results


def _result(future: Future[Any]) -> Any:
    try:
        return future.result()
    except KeyboardInterrupt:
        return None
