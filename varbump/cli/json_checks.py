"""Checks of values in a JSON: each raises a `Fault` that says in words what is wrong, and where."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

__all__ = [
    "Check",
    "Fault",
    "check_count",
    "check_day",
    "check_flag",
    "check_number",
    "check_plain",
    "check_positive",
    "check_text",
    "list_of",
    "map_of",
    "or_none",
    "record",
    "the_object",
]


class Fault(ValueError):
    """What is wrong, and where."""


Check = Callable[[Any, str], None]

HALVES = re.compile("[\ud800-\udfff]")
"""Halves of characters, which JSON may hold and no file of text."""


DAY = re.compile(r"\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\d", re.ASCII)


def check_number(value: Any, where: str, minimum: float = -math.inf) -> None:
    """Check a finite number."""
    try:
        fine = type(value) in (int, float) and math.isfinite(value) and value >= minimum
    except OverflowError:  # an integer that no float can hold
        fine = False
    if not fine:
        raise Fault(f"{where} must be a number{'' if minimum < 0 else f' of at least {minimum:g}'}, got {value!r:.40}")


def check_positive(value: Any, where: str) -> None:
    """Check a number of at least 0."""
    check_number(value, where, 0.0)


def check_count(value: Any, where: str) -> None:
    """Check a whole number of at least 0."""
    if type(value) is not int or not 0 <= value < 2**63:
        raise Fault(f"{where} must be a whole number of at least 0, got {value!r:.40}")


def check_text(value: Any, where: str) -> None:
    """Check a text that a file can hold."""
    if not isinstance(value, str) or HALVES.search(value):
        raise Fault(f"{where} must be text, got {value!r:.40}")


def check_flag(value: Any, where: str) -> None:
    """Check true or false."""
    if type(value) is not bool:
        raise Fault(f"{where} must be true or false, got {value!r:.40}")


def check_plain(value: Any, where: str) -> None:
    """Value of an option: a number, text, true or false, nothing, or a list of these."""
    for entry in value if isinstance(value, list) else [value]:
        if isinstance(entry, str):
            check_text(entry, where)
        elif entry is not None and type(entry) is not bool:
            check_number(entry, where)


def check_day(value: Any, where: str) -> None:
    """Check a date and time, or an empty text."""
    if value != "" and not (isinstance(value, str) and DAY.fullmatch(value)):
        raise Fault(f"{where} must be a date, got {value!r:.40}")


def or_none(check: Check) -> Check:
    """Check of nothing, or of what another one takes."""
    return lambda value, where: None if value is None else check(value, where)


def list_of(check: Check) -> Check:
    """Check of a list, entry by entry."""

    def of(value: Any, where: str) -> None:
        if not isinstance(value, list):
            raise Fault(f"{where} must be a list, got {value!r:.40}")
        for index, entry in enumerate(value):
            check(entry, f"{where}[{index}]")

    return of


def map_of(check: Check) -> Check:
    """Check of an object, value by value."""

    def of(value: Any, where: str) -> None:
        for name, entry in the_object(value, where).items():
            check_text(name, f"a name in {where}")
            check(entry, f"{where}.{name:.40}")

    return of


def record(fields: dict[str, Check], **optional: Check) -> Check:
    """Check of an object with these fields; others are left to later versions."""

    def of(value: Any, where: str) -> None:
        value = the_object(value, where)
        inside = f"{where}." if where else ""
        for name, check in fields.items():
            if name not in value:
                raise Fault(f"{inside}{name} is missing")
            check(value[name], inside + name)
        for name, check in optional.items():
            if name in value:
                check(value[name], inside + name)

    return of


def the_object(value: Any, where: str) -> dict[str, Any]:
    """Return an object."""
    if not isinstance(value, dict):
        raise Fault(f"{where or 'the whole'} must be an object, got {value!r:.40}")
    return value
