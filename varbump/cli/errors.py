"""What a user did wrong, in one sentence."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["UserError", "did_you_mean", "listed"]


class UserError(Exception):
    """Shown without a traceback; the exit code is 1."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint such as "; did you mean 'price'?", or what there is."""
    names = list(known)
    close = get_close_matches(name, names, n=1) or [n for n in names if n.strip().lower() == name.strip().lower()]
    return f"; did you mean {close[0]!r}?" if close else f"; it has {listed(names)}"


def listed(names: Iterable[str], most: int = 8) -> str:
    """Names in quotes, the first few of many."""
    shown = [repr(name) for name in names]
    more = f" and {len(shown) - most:,} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more
