"""Magnitudes in a recorded step: activations by layer, and scales."""

from __future__ import annotations

import numpy as np

from varbump.debug.record import Record

__all__ = ["SCALES", "activations", "diverged", "scales"]

SCALES = {"Softplus": "softplus", "Exp": "exp"}
"""Operations that turn a real number into a positive scale."""

DIVERGED = 1e6
"""An activation beyond this comes from weights that have diverged; standardised inputs give about 1."""


def activations(record: Record) -> dict[str, float]:
    """Return the largest magnitude of the last data-dependent result of each layer."""
    last = {op.layer: op for op in record.operations if op.layer and op.index in record.from_data and op.passes}
    sizes = {}
    for layer, op in last.items():
        values = [record.values[name] for name in op.outputs if name in record.values and record.values[name].size]
        if values and layer:
            sizes[layer] = float(max(np.max(np.abs(value)) for value in values))
    return sizes


def diverged(record: Record) -> bool:
    """Whether a layer gave numbers that only diverged weights, or data far from unit scale, can produce."""
    return max(activations(record).values(), default=0.0) > DIVERGED


def scales(record: Record) -> dict[str, tuple[float, float]]:
    """Return the range of the results of each softplus or exponential."""
    found: dict[str, tuple[float, float]] = {}
    for op in record.operations:
        value = record.values.get(op.outputs[0]) if op.outputs else None
        if op.kind in SCALES and value is not None and value.size:
            dependent = op.index in record.from_data
            place = op.layer or record.layer_before(op.outputs[0])
            name = f"{SCALES[op.kind]} of {place}" if dependent else f"the posterior of {place}"
            low, high = found.get(name, (np.inf, -np.inf))
            found[name] = min(low, float(np.min(value))), max(high, float(np.max(value)))
    return found
