"""Variables that keep their values if a computation fails."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from varbump.core.interrupts import uninterrupted

__all__ = ["restored_after_errors"]


@contextmanager
def restored_after_errors(variables: Iterable[Any]) -> Iterator[None]:
    """Context manager that gives variables their values back if its block fails or is interrupted."""
    before = [(variable, variable.numpy()) for variable in variables]
    try:
        yield
    except BaseException:
        with uninterrupted():
            for variable, value in before:
                variable.assign(value)
        raise
