"""What run.json says of what mattered: partial dependence, and the rows of which the model is least sure."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from varbump.cli.json_checks import (
    Fault,
    check_count,
    check_number,
    check_positive,
    check_text,
    list_of,
    record,
)

__all__ = ["CURVES", "DEPENDENCE", "MOST_TARGETS", "UNCERTAIN", "check_mattered"]

CURVES = ("mean", "sd", "lower_95", "lower_50", "upper_50", "upper_95")
"""Numbers of a curve at each value of a column."""

MOST_TARGETS = 4
"""Largest number of targets of which they are written, the first ones."""

LARGEST = 1e150
"""Largest number that a picture can show."""


def _cell(value: Any, where: str) -> None:
    """Cell of a table: a number, text, or nothing."""
    if isinstance(value, str):
        check_text(value, where)
    elif value is not None:
        _drawn(value, where)


def _drawn(value: Any, where: str) -> None:
    check_number(value, where)
    if abs(value) > LARGEST:
        raise Fault(f"{where} must be at most {LARGEST:g} in size, got {value!r:.40}")


DEPENDENCE = record(
    {
        "feature": check_text,
        "rows": check_count,
        "values": list_of(_cell),
        "observed": list_of(_cell),
        "targets": list_of(record({name: list_of(_drawn) for name in CURVES})),
    }
)

NEIGHBOUR = record({"cells": list_of(_cell), "y": list_of(check_number), "distance": check_positive}, row=check_count)

ROW = record(
    {
        "row": check_count,
        "cells": list_of(_cell),
        **dict.fromkeys(("y", "mean"), list_of(check_number)),
        **dict.fromkeys(("epistemic_sd", "sd"), list_of(check_positive)),
        "relative_sd": check_positive,
        "nearest": list_of(NEIGHBOUR),
    }
)

UNCERTAIN = record(
    {
        "numbered_in": check_text,
        "rows": check_count,
        "among": check_count,
        "median_sd": list_of(check_positive),
        "typical_distance": check_positive,
        "columns": list_of(check_text),
        "found": list_of(ROW),
    }
)


def check_mattered(info: dict[str, Any]) -> None:
    """Raise a `Fault` unless the parts fit each other and the columns of run.json."""
    kinds = {feature["name"]: feature.get("kind", "number") for feature in info["features"]}
    num_targets = min(len(info["targets"]), MOST_TARGETS)
    for index, curve in enumerate(info.get("dependence", [])):
        where = f"dependence[{index}]"
        if curve["feature"] not in kinds:
            raise Fault(f"{where}.feature must be a feature, got {curve['feature']!r:.40}")
        _check_values(curve, kinds[curve["feature"]], where)
        _check_length(curve["targets"], num_targets, f"{where}.targets")
        for target, numbers in enumerate(curve["targets"]):
            for name in CURVES:
                _check_length(numbers[name], len(curve["values"]), f"{where}.targets[{target}].{name}")
            _check_bands(numbers, f"{where}.targets[{target}]")
    uncertain = info.get("uncertain")
    if uncertain is not None:
        _check_uncertain(uncertain, kinds, num_targets)


def _check_values(curve: dict[str, Any], kind: str, where: str) -> None:
    """Check the values that a column was set to, by its kind."""
    values = curve["values"]
    if not values:
        raise Fault(f"{where}.values is empty")
    for name in ("values", "observed"):
        for value in curve[name]:
            if isinstance(value, str) == (kind == "number") or value is None or (kind == "date" and not _is_day(value)):
                what = {"number": "numbers", "date": "dates", "category": "text"}[kind]
                raise Fault(f"{where}.{name} must hold {what}, got {value!r:.40}")
    if kind != "category" and any(low >= high for low, high in pairwise(values)):
        raise Fault(f"{where}.values must increase")


def _check_bands(numbers: dict[str, list[float]], where: str) -> None:
    ends = [numbers[name] for name in CURVES[2:]]
    if any(sorted(point) != list(point) for point in zip(*ends, strict=True)):
        raise Fault(f"{where} must have {' <= '.join(CURVES[2:])}")


def _check_uncertain(uncertain: dict[str, Any], kinds: dict[str, str], num_targets: int) -> None:
    columns = uncertain["columns"]
    unknown = [name for name in columns if name not in kinds]
    if unknown:
        raise Fault(f"uncertain.columns must be features, got {unknown[0]!r:.40}")
    _check_length(uncertain["median_sd"], num_targets, "uncertain.median_sd")
    for index, row in enumerate(uncertain["found"]):
        where = f"uncertain.found[{index}]"
        for name in ("y", "mean", "epistemic_sd", "sd"):
            _check_length(row[name], num_targets, f"{where}.{name}")
        _check_length(row["cells"], len(columns), f"{where}.cells")
        for place, neighbour in enumerate(row["nearest"]):
            _check_length(neighbour["y"], num_targets, f"{where}.nearest[{place}].y")
            _check_length(neighbour["cells"], len(columns), f"{where}.nearest[{place}].cells")


def _check_length(entries: list[Any], count: int, where: str) -> None:
    if len(entries) != count:
        raise Fault(f"{where} must have {count:,} entries, got {len(entries):,}")


def _is_day(value: Any) -> bool:
    try:
        return len(value) == len("2024-02-29T12:00:00") and not np.isnat(np.datetime64(value, "s"))
    except (ValueError, TypeError):
        return False
