"""Bound on what a configuration may create, whatever its objects are nested in."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from varbump.saving.allowed import Refused, table_for

__all__ = ["check_budget"]


def check_budget(configuration: dict[str, Any], num_bytes: int) -> None:
    """Refuse a configuration whose likelihoods learn more numbers than its file has bytes.

    A likelihood creates its numbers as soon as it is made, before arrays are compared. Each number takes more than a
    byte in a file that `varbump.save` has written.
    """
    numbers = sum(_numbers_learned(value) for value in _objects(configuration))
    if numbers > num_bytes:
        raise Refused(f"its likelihoods learn {numbers:,} numbers, more than there are in its {num_bytes:,} bytes")


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Objects of a configuration, at any depth."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if isinstance(value.get("class"), str) and isinstance(value.get("config"), dict):
                yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _numbers_learned(value: dict[str, Any]) -> int:
    cls: Any = table_for("likelihood").get(value["class"])
    if cls is None:
        return 0
    try:
        return sum(math.prod(shape) for shape in cls.variable_shapes(value["config"]))
    except Exception:  # a configuration that no object is made of; it is refused where it is decoded
        return 0
