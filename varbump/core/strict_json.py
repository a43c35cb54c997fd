"""JSON as varbump writes it: finite numbers, and each key once."""

from __future__ import annotations

import json
import math
from typing import Any

__all__ = ["parse_json"]


def parse_json(text: bytes | str) -> Any:
    """Parse JSON from a file that anyone may have edited.

    Python's own parser accepts more than the standard: nan, infinity, numbers too large for a float, and keys that are
    given twice, of which it silently keeps the last.

    Parameters
    ----------
    text : bytes or str
        Bytes are decoded as UTF-8.

    Raises
    ------
    ValueError
        If it is not JSON, is nested too deeply, or contains one of these; the message says what is wrong.
    """
    try:
        decoded = text.decode("utf-8") if isinstance(text, bytes) else text
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None
    try:
        return json.loads(decoded, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_distinct)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not a number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text:.40} is too large a number")
    return value


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in pairs:
        if name in made:
            raise ValueError(f"it gives {name!r:.60} twice")
        made[name] = value
    return made
