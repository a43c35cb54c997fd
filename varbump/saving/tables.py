"""The encoder of a regressor: its columns in the configuration, the joint distribution of its inputs in arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.preprocessing import StandardScaler

from varbump.estimator.table.columns import KINDS, Column
from varbump.estimator.table.dates import CYCLES
from varbump.estimator.table.encoding import TableEncoder, encoded_columns, is_numeric
from varbump.estimator.table.missing import JointNormal, joined_columns
from varbump.saving.allowed import Refused
from varbump.saving.shapes import Shape

__all__ = ["encoder_arrays", "encoder_configuration", "encoder_shapes", "make_encoder", "plain_encoder"]

VECTORS = ("mean", "scale", "low", "high", "shift")

FIELDS = {"name", "said", "kind", "levels", "shown", "parts", "has_missing", "has_indicator"}


def encoder_configuration(encoder: TableEncoder) -> list[dict[str, Any]]:
    """What is known of each column."""
    return [
        {
            "name": name,
            "said": column.name,
            "kind": column.kind,
            "levels": list(column.levels),
            "shown": list(column.shown),
            "parts": list(column.parts),
            "has_missing": column.has_missing,
            "has_indicator": column.has_indicator,
        }
        for column, name in zip(encoder.source, encoder.names, strict=True)
    ]


def encoder_arrays(encoder: TableEncoder) -> dict[str, np.ndarray]:
    """The joint distribution of the inputs."""
    arrays = {f"table/{name}": getattr(encoder.joint, name) for name in VECTORS}
    covariance = encoder.joint.covariance
    return arrays if covariance is None else {**arrays, "table/covariance": covariance}


def encoder_shapes(configuration: Any, num_inputs: int) -> dict[str, Shape]:
    """Names and shapes of the arrays, for columns that must make as many inputs as the network has."""
    columns, names = _columns(configuration)
    inputs = encoded_columns(columns, names)
    if len(inputs) != num_inputs:
        raise Refused(f"its columns make {len(inputs):,} inputs, but its network takes {num_inputs:,}")
    shapes: dict[str, Shape] = {f"table/{name}": (num_inputs,) for name in VECTORS}
    num_joined = len(joined_columns(is_numeric(inputs)))
    return {**shapes, "table/covariance": (num_joined, num_joined)} if num_joined else shapes


def make_encoder(configuration: Any, array: Callable[[str], np.ndarray]) -> TableEncoder:
    """Make the encoder of a configuration whose shapes have been checked."""
    columns, names = _columns(configuration)
    mean, scale, low, high, shift = (array(f"table/{name}") for name in VECTORS)
    joined = joined_columns(is_numeric(encoded_columns(columns, names)))
    covariance = array("table/covariance") if len(joined) else None
    joint = JointNormal(mean, scale, low, high, shift, joined, covariance)
    if (joint.scale <= 0.0).any() or (joint.low > joint.high).any():
        raise Refused("table must have positive scales, and ranges from low to high")
    if covariance is not None and (np.linalg.eigvalsh(covariance) <= 0.0).any():
        raise Refused("table/covariance is no covariance")
    return TableEncoder(columns, names, joint)


def plain_encoder(names: Sequence[str] | None, scaler: StandardScaler) -> TableEncoder:
    """The encoder of a table of numbers, for files of versions that had no other tables."""
    count = len(scaler.mean_)
    said = [f"column {index}" for index in range(count)] if names is None else [f"column {name!r}" for name in names]
    none, ends = np.zeros(count), np.full(count, np.inf)
    joint = JointNormal(scaler.mean_, scaler.scale_, -ends, ends, none, np.empty(0, dtype=int), None)
    names = [f"x{index}" for index in range(count)] if names is None else names
    return TableEncoder([Column(each, "number") for each in said], names, joint)


def _columns(configuration: Any) -> tuple[list[Column], list[str]]:
    if not isinstance(configuration, list) or not configuration:
        raise Refused("it does not say which columns its table has")
    return [_column(entry) for entry in configuration], [entry["name"] for entry in configuration]


def _column(entry: Any) -> Column:
    if not isinstance(entry, dict) or set(entry) != FIELDS:
        raise Refused(f"a column of its table must not be {str(entry):.60}")
    levels, shown, parts = (_list(entry, key) for key in ("levels", "shown", "parts"))
    if not isinstance(entry["name"], str) or not isinstance(entry["said"], str) or entry["kind"] not in KINDS:
        raise Refused(f"a column of its table must not be {str(entry):.60}")
    flags = entry["has_missing"], entry["has_indicator"]
    if any(type(flag) is not bool for flag in flags) or flags == (False, True):
        raise Refused(f"{entry['said']:.60} must say whether it has missing cells, and an indicator of them")
    if not all(map(_is_level, levels)) or len(set(levels)) != len(levels):
        raise Refused(f"the levels of {entry['said']:.60} must be different words and finite numbers")
    is_category = entry["kind"] == "category"
    indices = all(type(index) is int and 0 <= index < len(levels) for index in shown)
    if bool(levels) != is_category or bool(shown) != is_category or not indices or shown != sorted(set(shown)):
        raise Refused(f"the levels of {entry['said']:.60} are not those of a {str(entry['kind']):.20}")
    if parts != [name for name in CYCLES if name in parts] or (parts and entry["kind"] != "date"):
        raise Refused(f"{entry['said']:.60} cannot have the parts {str(parts):.60}")
    return Column(entry["said"], entry["kind"], tuple(levels), tuple(shown), tuple(parts), *flags)


def _list(entry: dict[str, Any], key: str) -> list[Any]:
    if not isinstance(entry[key], list):
        raise Refused(f"a column of its table must have a list of {key}, got {str(entry[key]):.40}")
    return entry[key]


def _is_level(value: Any) -> bool:
    if type(value) is int:
        return abs(value) < 2**63
    return isinstance(value, str) or (type(value) is float and math.isfinite(value))
