"""How large the numbers of a recorded step were: activations by layer, and scales."""

from __future__ import annotations

import numpy as np

from varbump.debug.record import Record

__all__ = ["SCALES", "activations", "diverged", "scales"]

SCALES = {"Softplus": "softplus", "Exp": "exp"}
"""Operations that make a positive scale of a real number."""

DIVERGED = 1e6
"""An activation beyond it comes from weights that have run away; standardised inputs give sizes of about 1."""


def activations(record: Record) -> dict[str, float]:
    """Largest magnitude of the last data-dependent result of each layer."""
    last = {op.layer: op for op in record.operations if op.layer and op.index in record.from_data and op.passes}
    sizes = {}
    for layer, op in last.items():
        values = [record.values[name] for name in op.outputs if name in record.values and record.values[name].size]
        if values and layer:
            sizes[layer] = float(max(np.max(np.abs(value)) for value in values))
    return sizes


def diverged(record: Record) -> bool:
    """Whether a layer gave numbers that only runaway weights, or data without a scale, can make."""
    return max(activations(record).values(), default=0.0) > DIVERGED


def scales(record: Record) -> dict[str, tuple[float, float]]:
    """Range of what each softplus or exponential gave."""
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
