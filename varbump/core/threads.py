"""Work in several threads: long tasks, which Ctrl-C ends as in the main thread, and short ones."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from functools import cache
from typing import Any

from varbump.core.interrupts import interruptible, safe_point, uninterrupted

__all__ = ["each_in_threads", "in_threads", "num_cores", "num_free_threads"]

PAUSE = 0.1
"""Seconds after which Ctrl-C is noticed at the latest."""

MAX_THREADS = 8
"""Largest number of threads for short tasks."""

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
    stop, num_interrupts = threading.Event(), 0

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


def each_in_threads(function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """Results of a short function for items such as blocks of rows, in order, by as many threads as there are cores.

    Each item is left to one thread: in it, nothing is shared out among others.
    """
    if _here.is_one_of_several:
        return [function(item) for item in items]
    futures = [_threads().submit(copy_context().run, function, item) for item in items]
    try:
        return [future.result() for future in futures]
    finally:
        for future in futures:  # after an error or Ctrl-C
            future.cancel()


def num_free_threads() -> int:
    """Threads among which this one may share out its work; 1 if it is one of them."""
    return 1 if _here.is_one_of_several else min(num_cores(), MAX_THREADS)


def num_cores() -> int:
    """Cores of the machine."""
    return os.cpu_count() or 1


def _result(future: Future[Any]) -> Any:
    try:
        return future.result()
    except KeyboardInterrupt:
        return None


class _Here(threading.local):
    is_one_of_several = False


_here = _Here()


@cache
def _threads() -> ThreadPoolExecutor:
    def begin() -> None:
        _here.is_one_of_several = True

    return ThreadPoolExecutor(min(num_cores(), MAX_THREADS), "varbump-blocks", begin)
