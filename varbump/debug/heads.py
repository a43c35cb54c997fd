"""The head whose noise scale can reach zero, found in the traced operations."""

from __future__ import annotations

from varbump.debug.record import Operation, Record
from varbump.debug.sizes import SCALES

__all__ = ["scale_without_floor"]

KEEP = {
    *("Identity", "Reshape", "ExpandDims", "Squeeze", "BroadcastTo", "Tile", "Transpose", "Cast", "Abs", "Sqrt"),
    *("StridedSlice", "Slice", "Split", "SplitV", "Unpack", "Pack", "ConcatV2", "GatherV2", "MatrixDiagV3"),
}
"""Operations whose result is near zero where their input is."""

DIVISIONS = {"RealDiv", "Div", "DivNoNan", "Xdivy"}

BOUNDED = {"Maximum", "ClipByValue", "Tanh", "Sigmoid", "Relu", "Relu6", "Softplus", "Erf", "Elu", "Selu"}
"""Operations with a lower bound: an exponential of one has a floor."""

LOGS = {"Log", "LogMatrixDeterminant"}


def scale_without_floor(record: Record) -> tuple[Operation, str] | None:
    """Find a scale of the noise that no floor keeps from zero: its operation, and the place where it is computed.

    It is an exponential or softplus of something that depends on x. The loss divides a prediction by it and takes its
    logarithm, as log densities with a location and a scale do; y divided by its predicted mean is no trap. A sum with
    something else, a maximum or a clip in between counts as a floor.
    """
    for op in record.operations:
        if op.kind in SCALES and op.index in record.from_data and not _is_bounded(record, op) and _is_scale(record, op):
            return op, op.layer or record.layer_before(op.outputs[0]) or "the loss"
    return None


def _is_bounded(record: Record, start: Operation) -> bool:
    """Whether the nearest operation before it that does more than rearrange has a lower bound."""
    passed = KEEP | {"Mul"}
    before = (
        op for op in record.before(start.outputs[0])[1:] if op.kind not in passed and op.index in record.from_data
    )
    nearest = next(before, None)
    if nearest is not None and nearest.kind == "Minimum":  # a clip is a minimum and a maximum, in either order
        nearest = next(before, None)
    return nearest is not None and nearest.kind in BOUNDED


def _is_scale(record: Record, start: Operation) -> bool:
    divides = is_in_log = False
    from_x = record.after(record.data[:1])
    near_zero = set(start.outputs)
    for op in record.operations[start.index + 1 :]:
        shared = near_zero.intersection(op.inputs)
        if not shared:
            continue
        others = [name for name in op.inputs if name not in near_zero]
        if op.kind in DIVISIONS and op.inputs[1] in near_zero:
            divides |= any(maker.index in from_x for maker in record.before(op.inputs[0])[:1])
        elif op.kind in LOGS:
            is_in_log = True
        elif op.kind in KEEP or (op.kind in ("Mul", "Square") and not any(_from_data(record, name) for name in others)):
            near_zero.update(op.outputs)
    return divides and is_in_log


def _from_data(record: Record, tensor: str) -> bool:
    return any(maker.index in record.from_data for maker in record.before(tensor)[:1]) or tensor in record.data
