"""Find what became non-finite first in a recorded step: the term of the loss, the layer, the weight."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from varbump.debug.record import Operation, Record
from varbump.debug.sizes import SCALES, activations, diverged, scales

__all__ = ["Blame", "REMEDIES", "blame", "branch_of", "first_bad_gradient", "first_bad_value"]

REMEDIES = {
    "likelihood": "Scale x and y to about unit size, lower the learning rate, or give the likelihood a larger scale.",
    "scale": "Put a floor under the scale, such as 1e-3 + softplus(...) or varbump.likelihoods.HeteroscedasticNormal, "
    "start the posterior with a smaller scale, or fix the scale of the noise.",
    "KL": "Start the posterior with a smaller scale, or give the prior a larger one.",
    "gradient": "Look for a function that is not differentiable where it was evaluated, or lower the learning rate.",
    "branch": "Replace the INPUT of that branch where it is not taken, tf.where(ok, x, 1.0), not its output: tf.where "
    "passes on the gradient of the branch that is not taken, times zero.",
    "domain": "Keep that input positive, as a scale or a probability is: take softplus(...) + 1e-3 of it, or add a "
    "small constant.",
    "diverged": "The training diverges: lower the learning rate, clip the gradient (clipnorm of the optimiser), or "
    "standardise x and y.",
    "data": "Drop the rows of x and y that are not finite, or fill them in.",
    "weight": "Build the model anew, and train it with varbump.NanGuard or varbump.fit, which keep the last finite "
    "weights.",
}

SINGULAR = {"RealDiv": 1, "Div": 1, "Xdivy": 1, "DivNoNan": 1, "Log": 0, "Reciprocal": 0, "Inv": 0, "Rsqrt": 0}
"""Operations that diverge at zero, with the index of the input in question."""

STEEP = {*SINGULAR, "Sqrt", "Pow", "Exp", "Expm1", "Log1p", "Acos", "Asin", "Atanh", "Acosh", "Tan", "Xlogy"}
"""Operations whose derivative can be infinite while their value is finite, or the reverse."""

POSITIVE = {"Log": 0, "Sqrt": 0, "Rsqrt": 0, "Xlogy": 1}
"""Operations that give nan for negative input, with the index of the input in question."""

SELECTS = {"SelectV2", "Select"}
SMALLEST_SCALE = 1e-6
"""A divisor below this that depends on weights is blamed for a diverging loss."""


@dataclass(frozen=True)
class Blame:
    """The first non-finite result of a step, and its cause.

    Attributes
    ----------
    term : str
        "likelihood", "scale", "KL", "gradient" or "weight".
    layer, weight, operation : str or None
    sentence, remedy : str
    activations : dict of str to float
        Largest magnitude in the output of each layer.
    scales : dict of str to (float, float)
        Smallest and largest value of each scale, by the place where it is computed.
    """

    term: str
    layer: str | None
    weight: str | None
    operation: str | None
    sentence: str
    remedy: str
    activations: dict[str, float] = field(default_factory=dict)
    scales: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def magnitudes(self) -> str:
        """The largest activations and the scales, one sentence each."""
        largest = sorted(self.activations.items(), key=lambda item: -np.nan_to_num(item[1], nan=np.inf))[:3]
        parts = []
        if largest:
            parts.append("Largest activations: " + ", ".join(f"{size:.2g} in {name}" for name, size in largest) + ".")
        if self.scales:
            shown = sorted(self.scales.items(), key=lambda item: np.nan_to_num(item[1][0]))[:3]
            ranges = [
                f"{low:.2g}" + (f" to {high:.2g}" if high != low else "") + f" in {name}" for name, (low, high) in shown
            ]
            parts.append("Scales: " + ", ".join(ranges) + ".")
        return " ".join(parts)


def blame(record: Record, owner: dict[str, str], weights: dict[str, np.ndarray] | None = None) -> Blame:
    """Find what became non-finite first in a recorded step whose loss or gradient is not finite.

    Parameters
    ----------
    record : Record
    owner : dict of str to str
        Layer of each weight, by its key.
    weights : dict of str to ndarray, optional
        Values of the weights before the step, in case some were not finite to begin with.
    """
    for key, value in (weights or {}).items():
        if not np.all(np.isfinite(value)):
            sentence = f"{key} of layer {owner.get(key)!r} held nan or infinity before the step."
            return _finish(record, "weight", owner.get(key), key, None, sentence)
    bad = first_bad_value(record)
    if bad is not None and not np.all(np.isfinite(record.values[record.loss])):
        return _of_value(record, owner, bad)
    scale = _tiny_scale(record)
    if scale is not None:
        return _of_scale(record, owner, *scale)
    return _of_gradient(record, owner)


def first_bad_value(record: Record) -> Operation | None:
    """Return the first operation that made nan or infinity out of finite numbers."""
    for op in record.operations:
        if not record.finite(op, record.values) and record.finite(op, record.values, "inputs"):
            return op
    return None


def first_bad_gradient(record: Record) -> Operation | None:
    """Return the operation nearest to the loss that made nan or infinity out of a finite gradient."""
    found = [
        op
        for op in record.operations
        if op.kind not in SELECTS
        and any(name in record.gradients for name in op.outputs)
        and record.finite(op, record.gradients)
        and not record.finite(op, record.gradients, "inputs")
    ]
    steep = [op for op in found if op.kind in STEEP]  # others may only share an input with the culprit
    return (steep or found)[-1] if found else None


def branch_of(record: Record, op: Operation) -> Operation | None:
    """Return the nearest tf.where that has the result of `op` in one of its branches."""
    after = record.after(op.outputs)
    for other in record.operations:
        if other.index in after and other.kind in SELECTS:
            inside = {op.index, *after}
            for name in other.inputs[1:]:
                if any(maker.index in inside for maker in record.before(name)):
                    return other
    return None


def _of_value(record: Record, owner: dict[str, str], bad: Operation) -> Blame:
    if bad.kind == "IteratorGetNext" or (bad.kind == "Placeholder" and bad.outputs[0] in record.data):
        return _finish(record, "likelihood", None, None, bad, "The data of that step hold nan or infinity.", "data")
    if bad.index not in record.from_data and not record.after(bad.outputs) & record.from_data - _of_loss(record):
        keys = record.weights_before(bad.outputs[0])
        key = keys[0] if keys else None
        layer = bad.layer or owner.get(key or "")
        sentence = f"The KL of layer {layer!r} is not finite: {_said(bad)} of its {key} gave {_worst(record, bad)}."
        return _finish(record, "KL", layer, key, bad, sentence)
    scale = _tiny_scale(record)
    if scale is not None:
        return _of_scale(record, owner, *scale)
    keys = record.weights_before(bad.outputs[0])
    layer = bad.layer or record.layer_before(bad.outputs[0])
    key = next((k for k in keys if owner.get(k) == layer), keys[0] if keys else None)
    where = f"in layer {bad.layer!r}" if bad.layer else f"in the loss, of what layer {layer!r} gave,"
    sentence = f"{_said(bad)} {where} gave {_worst(record, bad)}"
    lowest = _outside(record, bad)
    if lowest is not None:
        return _finish(record, "likelihood", layer, key, bad, f"{sentence} of an input of {lowest:.3g}.", "domain")
    return _finish(record, "likelihood", layer, key, bad, f"{sentence}.", "diverged" if diverged(record) else None)


def _outside(record: Record, op: Operation) -> float | None:
    """Return the input value at fault: a negative one, or zero if the operation diverges there."""
    place = {**SINGULAR, **POSITIVE}.get(op.kind)
    value = None if place is None or len(op.inputs) <= place else record.values.get(op.inputs[place])
    if value is None or not value.size:
        return None
    size = value if op.kind in POSITIVE else np.abs(value)
    return float(value.ravel()[np.argmin(size)]) if np.min(size) <= 0.0 else None


def _of_loss(record: Record) -> set[int]:
    """Return the final sums and means of the loss, which the KL and the likelihood share."""
    tail, pending = set(), [record.loss]
    while pending:
        for op in record.before(pending.pop())[:1]:
            if op.kind in {"AddV2", "AddN", "Mul", "Sum", "Mean", "Identity", "RealDiv", "DivNoNan", "Cast", "Pack"}:
                tail.add(op.index)
                pending.extend(op.inputs)
    return tail


def _tiny_scale(record: Record) -> tuple[Operation, str] | None:
    """Return the operation with the smallest divisor that depends on weights and data, if small enough to blame."""
    found = []
    for op in record.operations:
        if op.kind in SINGULAR and len(op.inputs) > SINGULAR[op.kind]:
            name = op.inputs[SINGULAR[op.kind]]
            value = record.values.get(name)
            if value is None or not value.size or not record.weights_before(name):
                continue
            size = np.min(np.abs(value))
            if size < SMALLEST_SCALE and any(maker.index in record.from_data for maker in record.before(name)):
                if any(maker.kind in SCALES for maker in record.before(name)):
                    found.append((size, op.index, op, name))
    return min(found)[2:] if found else None


def _of_scale(record: Record, owner: dict[str, str], op: Operation, name: str) -> Blame:
    layer = record.layer_before(name)
    keys = record.weights_before(name)
    key = next((k for k in keys if owner.get(k) == layer), keys[0])
    low = float(np.min(np.abs(record.values[name])))
    what = "scale of the head, which" if op.layer is None else "divisor that"
    sentence = f"The {what} layer {layer!r} predicts, fell to {low:.1g}; {_said(op)} diverges there."
    return _finish(record, "scale", layer, key, op, sentence)


def _of_gradient(record: Record, owner: dict[str, str]) -> Blame:
    op = first_bad_gradient(record)
    if op is None:
        gains = [(_gain(record, op), op.index, op) for op in record.operations]
        op = max(gains)[2] if gains else None
    if op is None:
        return _finish(record, "gradient", None, None, None, "")
    keys = [k for name in op.inputs for k in record.weights_before(name)] or record.weights_before(op.outputs[0])
    layer = op.layer or (owner.get(keys[0]) if keys else None)
    key = next((k for k in keys if owner.get(k) == layer), keys[0] if keys else None)
    select = branch_of(record, op)
    if select is not None and not record.finite(op, record.gradients, "inputs"):
        sentence = (
            f"{_said(op)} in a branch of the tf.where {select.name!r} of layer {layer!r} has no finite derivative."
        )
        return _finish(record, "gradient", layer, key, op, sentence, "branch")
    sizes = [
        np.max(np.abs(record.gradients[n])) for n in op.inputs if n in record.gradients and record.gradients[n].size
    ]
    worst = f"{max(sizes):.1g}" if sizes and np.all(np.isfinite(sizes)) else "nan or infinity"
    where = f"in layer {op.layer!r}" if op.layer else f"in the loss, of what layer {layer!r} gave,"
    remedy = "diverged" if op.kind not in STEEP and diverged(record) else None
    return _finish(record, "gradient", layer, key, op, f"The derivative of {_said(op)} {where} is {worst}.", remedy)


def _gain(record: Record, op: Operation) -> float:
    """Return the factor by which an operation enlarges the gradient on its way back."""
    sizes = []
    for side in ("outputs", "inputs"):
        arrays = [record.gradients[n] for n in getattr(op, side) if n in record.gradients and record.gradients[n].size]
        sizes.append(max((float(np.max(np.abs(a))) for a in arrays), default=0.0))
    return sizes[1] / sizes[0] if sizes[0] > 0 and np.isfinite(sizes[0]) else 0.0


def _finish(
    record: Record,
    term: str,
    layer: str | None,
    key: str | None,
    op: Operation | None,
    sentence: str,
    remedy: str | None = None,
) -> Blame:
    return Blame(
        term,
        layer,
        key,
        op.kind if op else None,
        sentence,
        REMEDIES[remedy or term],
        activations(record),
        scales(record),
    )


def _said(op: Operation) -> str:
    return op.kind


def _worst(record: Record, op: Operation) -> str:
    values = [record.values[name] for name in op.outputs if name in record.values]
    if any(np.any(np.isnan(value)) for value in values):
        return "nan"
    return "-inf" if any(np.any(value == -np.inf) for value in values) else "inf"
