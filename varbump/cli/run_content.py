"""What run.json must hold: the first thing in it that `varbump fit` cannot have written, in words."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from varbump.cli.errors import listed

__all__ = ["Fault", "STATISTICS", "check_content"]

STATISTICS = ("min", "lower_quartile", "median", "upper_quartile", "max")


class Fault(ValueError):
    """What is wrong, and where."""


Check = Callable[[Any, str], None]

HALVES = re.compile("[\ud800-\udfff]")
"""Halves of characters, which JSON may hold and no file of text."""


DAY = re.compile(r"\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\d", re.ASCII)


def _number(value: Any, where: str, minimum: float = -math.inf) -> None:
    try:
        fine = type(value) in (int, float) and math.isfinite(value) and value >= minimum
    except OverflowError:  # an integer that no float can hold
        fine = False
    if not fine:
        raise Fault(f"{where} must be a number{'' if minimum < 0 else f' of at least {minimum:g}'}, got {value!r:.40}")


def _positive(value: Any, where: str) -> None:
    _number(value, where, 0.0)


def _count(value: Any, where: str) -> None:
    if type(value) is not int or not 0 <= value < 2**63:
        raise Fault(f"{where} must be a whole number of at least 0, got {value!r:.40}")


def _text(value: Any, where: str) -> None:
    if not isinstance(value, str) or HALVES.search(value):
        raise Fault(f"{where} must be text, got {value!r:.40}")


def _flag(value: Any, where: str) -> None:
    if type(value) is not bool:
        raise Fault(f"{where} must be true or false, got {value!r:.40}")


def _plain(value: Any, where: str) -> None:
    """Value of an option: a number, text, true or false, nothing, or a list of these."""
    for entry in value if isinstance(value, list) else [value]:
        if isinstance(entry, str):
            _text(entry, where)
        elif entry is not None and type(entry) is not bool:
            _number(entry, where)


def _day(value: Any, where: str) -> None:
    if value != "" and not (isinstance(value, str) and DAY.fullmatch(value)):
        raise Fault(f"{where} must be a date, got {value!r:.40}")


def _or_none(check: Check) -> Check:
    return lambda value, where: None if value is None else check(value, where)


def _list_of(check: Check) -> Check:
    def of(value: Any, where: str) -> None:
        if not isinstance(value, list):
            raise Fault(f"{where} must be a list, got {value!r:.40}")
        for index, entry in enumerate(value):
            check(entry, f"{where}[{index}]")

    return of


def _map_of(check: Check) -> Check:
    def of(value: Any, where: str) -> None:
        for name, entry in _object(value, where).items():
            _text(name, f"a name in {where}")
            check(entry, f"{where}.{name:.40}")

    return of


def _record(fields: dict[str, Check], **optional: Check) -> Check:
    """Check of an object with these fields; others are left to later versions."""

    def of(value: Any, where: str) -> None:
        value = _object(value, where)
        inside = f"{where}." if where else ""
        for name, check in fields.items():
            if name not in value:
                raise Fault(f"{inside}{name} is missing")
            check(value[name], inside + name)
        for name, check in optional.items():
            if name in value:
                check(value[name], inside + name)

    return of


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Fault(f"{where or 'the whole'} must be an object, got {value!r:.40}")
    return value


COLUMN = _record({"name": _text, **dict.fromkeys((*STATISTICS, "mean"), _number), "sd": _positive}, relevance=_positive)

CATEGORY = _record({"name": _text, "num_levels": _count, "most_frequent": _text, "empty": _count}, relevance=_positive)

DATE = _record({"name": _text, **dict.fromkeys(("min", "median", "max"), _day), "empty": _count}, relevance=_positive)


def _feature(value: Any, where: str) -> None:
    kind = _object(value, where).get("kind", "number")
    if kind not in ("number", "category", "date"):
        raise Fault(f"{where}.kind must be number, category or date, got {kind!r:.40}")
    {"number": COLUMN, "category": CATEGORY, "date": DATE}[kind](value, where)


SCORES = _record(dict.fromkeys(("rmse", "log_likelihood", "crps", "coverage_95"), _number))

CANDIDATE = _record({"name": _text, "weight": _positive}, log_likelihood=_number)

RUN = _record(
    {
        "format": _count,
        "varbump": _text,
        "versions": _map_of(_text),
        "created": _text,
        "seed": _count,
        "rows": _record(dict.fromkeys(("train", "held_out", "scored"), _count)),
        "features": _list_of(_feature),
        "targets": _list_of(COLUMN),
        "noise_sd": _list_of(_positive),
        "parameters": _record(
            {
                "weights": _count,
                "trainable": _count,
                "effective": _or_none(_number),
                "kl": _or_none(_number),
                "judgement": _text,
            }
        ),
        "training": _record({"epochs": _count, "loss": _number}),
        "data": _record({**dict.fromkeys(("file", "sha256"), _text), "rows": _count, "dropped": _count}),
        "arguments": _map_of(_plain),
        "seconds": _positive,
    },
    candidates=_list_of(CANDIDATE),
    scores=_map_of(SCORES),
    calibration=_record({"calibrated": _flag, "judgement": _text}),
)


def check_content(info: Any) -> None:
    """Raise a `Fault` unless `info` is what `varbump fit` writes to run.json."""
    RUN(info, "")
    for kind in ("features", "targets"):
        if not info[kind]:
            raise Fault(f"{kind} is empty")
        for index, column in enumerate(info[kind]):
            if column.get("kind", "number") != "number":
                continue
            numbers = [column[statistic] for statistic in STATISTICS]
            if numbers != sorted(numbers):
                raise Fault(f"{kind}[{index}] must have {' <= '.join(STATISTICS)}")
    names = Counter(column["name"] for kind in ("features", "targets") for column in info[kind])
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        raise Fault(f"it has more than one column {listed(twice)}")
    if len(info["noise_sd"]) != len(info["targets"]):
        raise Fault("noise_sd must have one number for each target")
    if len({"relevance" in column for column in info["features"]}) > 1:
        raise Fault("only some features have a relevance")
