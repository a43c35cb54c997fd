"""Reading ahead: one thread that fills a bounded queue while the main thread computes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Generic, TypeVar

from varbump.core.interrupts import safe_point

__all__ = ["Ahead"]

Item = TypeVar("Item")

PATIENCE = 0.1
"""Seconds between two looks for a Ctrl-C, or for the end, while the other side of the queue is busy."""


class Ahead(Generic[Item]):
    """Iterator over another one, which a thread runs ahead of its use; also a context manager that ends the thread.

    Parameters
    ----------
    items : iterator
        Used by the thread only. An error in it is raised at its place by the iteration here.
    depth : int, default=2
        Largest number of items that wait.
    """

    def __init__(self, items: Iterator[Item], depth: int = 2) -> None:
        self._items = items
        self._queue: queue.Queue[tuple[bool, Item | BaseException | None]] = queue.Queue(depth)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="varbump-reader", daemon=True)

    def __enter__(self) -> Ahead[Item]:
        self._thread.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        while True:
            safe_point()
            try:
                is_item, value = self._queue.get(timeout=PATIENCE)
            except queue.Empty:
                continue
            if is_item:
                return value  # type: ignore[return-value]
            self._put(False, value)  # the end stays the end
            raise StopIteration if value is None else value  # type: ignore[misc]

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            for item in self._items:
                if not self._put(True, item):
                    break
        except BaseException as raised:  # of any class: it is raised where the items are used
            error = raised
        finally:
            close = getattr(self._items, "close", None)
            if close is not None:
                close()
        self._put(False, error)

    def _put(self, is_item: bool, value: Item | BaseException | None) -> bool:
        """Put an item into the queue unless its user has left; whether that was done."""
        while not self._ended.is_set():
            try:
                self._queue.put((is_item, value), timeout=PATIENCE)
                return True
            except queue.Full:
                continue
        return False
