"""What run.json must hold: the first thing in it that `varbump fit` cannot have written, in words."""

from __future__ import annotations

from collections import Counter
from typing import Any

from varbump.cli.errors import listed
from varbump.cli.json_checks import (
    Fault,
    check_count,
    check_day,
    check_flag,
    check_number,
    check_plain,
    check_positive,
    check_text,
    list_of,
    map_of,
    or_none,
    record,
    the_object,
)
from varbump.cli.mattered_content import DEPENDENCE, UNCERTAIN, check_mattered

__all__ = ["STATISTICS", "check_content"]

STATISTICS = ("min", "lower_quartile", "median", "upper_quartile", "max")


OPTIONAL = {"relevance": check_positive, "permutation": check_number, "permutation_se": check_positive}

COLUMN = record(
    {"name": check_text, **dict.fromkeys((*STATISTICS, "mean"), check_number), "sd": check_positive}, **OPTIONAL
)

CATEGORY = record(
    {"name": check_text, "num_levels": check_count, "most_frequent": check_text, "empty": check_count}, **OPTIONAL
)

DATE = record(
    {"name": check_text, **dict.fromkeys(("min", "median", "max"), check_day), "empty": check_count}, **OPTIONAL
)


def _feature(value: Any, where: str) -> None:
    kind = the_object(value, where).get("kind", "number")
    if kind not in ("number", "category", "date"):
        raise Fault(f"{where}.kind must be number, category or date, got {kind!r:.40}")
    {"number": COLUMN, "category": CATEGORY, "date": DATE}[kind](value, where)


SCORES = record(dict.fromkeys(("rmse", "log_likelihood", "crps", "coverage_95"), check_number))

CANDIDATE = record({"name": check_text, "weight": check_positive}, log_likelihood=check_number)

RUN = record(
    {
        "format": check_count,
        "varbump": check_text,
        "versions": map_of(check_text),
        "created": check_text,
        "seed": check_count,
        "rows": record(dict.fromkeys(("train", "held_out", "scored"), check_count)),
        "features": list_of(_feature),
        "targets": list_of(COLUMN),
        "noise_sd": list_of(check_positive),
        "parameters": record(
            {
                "weights": check_count,
                "trainable": check_count,
                "effective": or_none(check_number),
                "kl": or_none(check_number),
                "judgement": check_text,
            }
        ),
        "training": record({"epochs": check_count, "loss": check_number}),
        "data": record({**dict.fromkeys(("file", "sha256"), check_text), "rows": check_count, "dropped": check_count}),
        "arguments": map_of(check_plain),
        "seconds": check_positive,
    },
    candidates=list_of(CANDIDATE),
    scores=map_of(SCORES),
    calibration=record({"calibrated": check_flag, "judgement": check_text}),
    dependence=list_of(DEPENDENCE),
    uncertain=UNCERTAIN,
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
    for name in OPTIONAL:
        if len({name in column for column in info["features"]}) > 1:
            raise Fault(f"only some features have a {name}")
    if ("permutation" in info["features"][0]) != ("permutation_se" in info["features"][0]):
        raise Fault("features must have both permutation and permutation_se, or neither")
    check_mattered(info)
