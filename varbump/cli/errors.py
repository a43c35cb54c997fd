"""Errors of the user, in one sentence."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["UserError", "did_you_mean", "listed"]


class UserError(Exception):
    """An error shown without a traceback; the exit code is 1."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint such as "; did you mean 'price'?", or a list of the known names."""
    names = list(known)
    close = get_close_matches(name, names, n=1) or [n for n in names if n.strip().lower() == name.strip().lower()]
    return f"; did you mean {close[0]!r}?" if close else f"; it has {listed(names)}"


def listed(names: Iterable[str], most: int = 8) -> str:
    """List names in quotes, only the first few of many."""
    shown = [repr(name) for name in names]
    more = f" and {len(shown) - most:,} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more
