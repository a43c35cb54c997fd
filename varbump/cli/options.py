"""Options shared by commands, and their parsing."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

__all__ = ["Intervals", "Share", "Sizes", "for_scripts", "path_argument", "replaces"]


class Sizes(click.ParamType):
    """Parameter type of hidden layers, such as 50,50; "none" for a linear model, "auto" to have them chosen."""

    name = "sizes"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...] | str:
        """Parse integers of at least 1, or a word."""
        if isinstance(value, tuple):
            return value
        word = value.strip().lower()
        if word in ("none", "auto"):
            return () if word == "none" else word
        parts = [part.strip() for part in value.split(",")]
        if not all(part.isascii() and part.isdigit() and 1 <= int(part) <= 10_000 for part in parts):
            self.fail(
                f"{value!r} is not a list of layer sizes such as 50 or 50,50 (each 1 to 10000), none or auto"
            )
        return tuple(int(part) for part in parts)


class Intervals(click.ParamType):
    """Parameter type of percentages, such as 50,95."""

    name = "percentages"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, ...]:
        """Parse distinct numbers between 0 and 100, and sort them."""
        if isinstance(value, tuple):
            return value
        try:
            levels = [float(part) for part in value.replace("%", "").split(",")]
        except ValueError:
            self.fail(f"{value!r} is not a list of percentages such as 50,95")
        if not all(0 < level < 100 for level in levels):
            self.fail(f"{value!r}: percentages must lie between 0 and 100, such as 50,95")
        if any(float(f"{level:g}") != level for level in levels):  # the names of columns have no more digits
            self.fail(f"{value!r}: percentages have at most six digits, such as 99.9999")
        if len(set(levels)) < len(levels):
            self.fail(f"{value!r} names an interval twice")
        return tuple(sorted(levels))


class Share(click.FloatRange):
    """Parameter type of a number from 0 to 1, without 1; a `click.FloatRange` lets nan pass."""

    def __init__(self) -> None:
        super().__init__(0, 1, max_open=True)

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Parse a number."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number from 0 to 1")
        return number


def for_scripts(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --quiet and --json."""
    command = click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")(command)
    return click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")(command)


def replaces(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --force."""
    return click.option("--force", is_flag=True, help="Replace what --out names.")(command)


def path_argument(name: str, metavar: str) -> Callable[..., Any]:
    """Add a path argument that the command checks itself, with its own error messages."""
    return click.argument(name, type=click.Path(path_type=Path), metavar=metavar)
