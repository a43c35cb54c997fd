"""Reasons why a weight gets no usable gradient, inferred from the traced operations, with remedies."""

from __future__ import annotations

from typing import Any

import numpy as np

from varbump.core.keras import variables_of
from varbump.debug.blame import blame, branch_of, first_bad_gradient
from varbump.debug.objective import Objective
from varbump.debug.record import Operation, Record
from varbump.layers import TrainableActivation

__all__ = ["non_finite", "reason_of"]

CONDITIONS = {"Less", "LessEqual", "Greater", "GreaterEqual", "Equal", "NotEqual", "LogicalAnd", "LogicalOr", "Cast"}
RELUS = {"Relu", "Relu6", "LeakyRelu", "Elu", "Selu"}
ROUNDINGS = {"Floor", "Ceil", "Round", "Rint", "Sign", "FloorDiv", "ArgMax", "ArgMin"}
FLAT = {"Sigmoid", "Tanh", "Softmax", "Erf"}
BRANCHES = {"If", "StatelessIf", "Case", "StatelessCase"}
LARGE_INPUT = 1e3


def reason_of(status: str, objective: Objective, key: str, variable: Any, record: Record) -> tuple[str, str]:
    """Return reason and remedy for one weight, a sentence each.

    Parameters
    ----------
    status : {"missing", "zero", "non-finite", "exploding"}
    objective : Objective
    key : str
        Key of the weight.
    variable : tf.Variable
    record : Record
        With values and gradients, except for missing gradients.
    """
    if status == "exploding":
        return _exploding(objective, record)
    if status == "non-finite":
        return non_finite(objective, record)
    blocked = _blocked(record, key)
    if blocked is not None:
        return blocked
    if status == "missing":
        return (
            "Nothing between the weight and the loss stops the gradient, so a custom gradient must.",
            "Return a gradient for it from the function under tf.custom_gradient.",
        )
    return _zero(objective, key, variable, record)


def _blocked(record: Record, key: str) -> tuple[str, str] | None:
    """Return the reason if no differentiable path leads from the weight to the loss, otherwise None."""
    tensors = record.of_weight(key)
    reached = record.after(tensors, through=lambda op: op.passes)
    if not reached:
        return (
            "The loss does not depend on it: no call uses the weight, or what is computed from it is thrown away.",
            "Use it in call(), or do not make it trainable.",
        )
    end = max(op.index for op in record.operations)
    if end in reached:
        return None
    walls = [op for op in record.operations if op.index in reached and not op.passes]
    wall: Operation = walls[0]
    place = f" of layer {wall.layer!r}" if wall.layer else ""
    if any(op.kind in CONDITIONS for op in walls):
        return (
            f"It is used only behind a condition, {wall.kind}{place}: which branch is taken changes in jumps, and a "
            f"jump has no gradient.",
            "Let the weight enter the value of a branch, as in varbump.bump(x, sigma), not only the comparison.",
        )
    if wall.kind in ROUNDINGS:
        return (f"It is used only behind {wall.kind}{place}, which is flat.", "Use a smooth function instead.")
    return (
        f"{wall.kind}{place} lets no gradient through.",
        "Remove it from the path between the weight and the loss, or do not make the weight trainable.",
    )


def _zero(objective: Objective, key: str, variable: Any, record: Record) -> tuple[str, str]:
    activation = _activation_of(objective, variable)
    if activation is not None:
        reason, remedy = activation.why_no_gradient
        return reason.format(name=activation.name), remedy
    after = record.after(record.of_weight(key))
    for op in (op for op in record.operations if op.index in after):
        if op.kind in BRANCHES and any(name in record.of_weight(key) for name in op.inputs):
            return (
                f"It is used in a branch of the tf.cond {op.name!r} that these rows do not take.",
                "Look at the condition: the weight learns only from batches that take its branch.",
            )
        gradient = [record.gradients[name] for name in op.outputs if name in record.gradients]
        below = [
            record.gradients[name] for name in op.inputs if name in record.gradients and _depends(record, name, after)
        ]
        if any(np.any(g) for g in gradient) and below and not any(np.any(g) for g in below):
            return _flattened(op, record, after)
    return (
        "No operation alone makes it zero.",
        "Look at what the loss depends on, or train for one step and check again.",
    )


def _depends(record: Record, name: str, after: set[int]) -> bool:
    return any(maker.index in after for maker in record.before(name)[:1]) or name in record.handles


def _flattened(op: Operation, record: Record, after: set[int]) -> tuple[str, str]:
    place = f"layer {op.layer!r}" if op.layer else "the loss"
    if op.kind in RELUS:
        return (
            f"Dead relu: no row activates any unit of {place}, so its output and its gradient are 0.",
            "Standardise x, lower the learning rate, start with smaller biases, or use a leaky relu.",
        )
    if op.kind in ("SelectV2", "Select"):
        return (
            f"The branch of the tf.where {op.name!r} that it is in is taken by no row.",
            "Look at the condition: no row of x fulfils it; start the weight elsewhere or standardise x.",
        )
    if op.kind in FLAT:
        return (f"{op.kind} in {place} is saturated on every row.", "Standardise x, or start with smaller weights.")
    others = [record.values[n] for n in op.inputs if n in record.values and not _depends(record, n, after)]
    if others and not any(np.any(value) for value in others):
        return (
            f"In {place} it is multiplied by zeros ({op.kind}).",
            "Start the weights that follow at random values other than 0, and look for inputs that are all 0.",
        )
    return (f"{op.kind} in {place} is flat on every row.", "Start the weight elsewhere, or use a smooth function.")


def _activation_of(objective: Objective, variable: Any) -> Any:
    for layer in objective.model._flatten_layers():
        if isinstance(layer, TrainableActivation) and any(variable is own for own in variables_of(layer)):
            return layer
    return None


def non_finite(objective: Objective, record: Record) -> tuple[str, str]:
    """Return reason and remedy for a loss or gradient that is nan or infinite."""
    loss = record.values[record.loss]
    weights = {key: v.numpy() for key, v in zip(objective.keys, objective.variables, strict=True)}
    if np.all(np.isfinite(loss)):
        op = first_bad_gradient(record)
        select = None if op is None else branch_of(record, op)
        if op is not None and select is not None:
            layer = op.layer or select.layer
            return (
                f"Unsafe tf.where: {op.kind} in a branch of {select.name!r} (layer {layer!r}) has no finite derivative "
                f"on rows that do not take the branch, and 0 times infinity is nan.",
                "Replace the INPUT of the branch where it is not taken, x_safe = tf.where(inside, x, 0.0), or use "
                "varbump.bump.",
            )
    found = blame(record, objective.owner, weights)
    return found.sentence, found.remedy


def _exploding(objective: Objective, record: Record) -> tuple[str, str]:
    x = np.asarray(objective.x).reshape(len(objective.x), -1)
    worst = int(np.argmax(np.max(np.abs(x), axis=0)))
    if np.max(np.abs(x[:, worst])) > LARGE_INPUT:
        return (
            f"Column {worst} of x is as large as {np.max(np.abs(x[:, worst])):.3g}.",
            "Standardise x: subtract the mean of each column and divide by its sd.",
        )
    y = np.asarray(objective.y)
    if np.max(np.abs(y)) > LARGE_INPUT:
        return f"y is as large as {np.max(np.abs(y)):.3g}.", "Standardise y."
    for op in record.operations:
        sizes = [
            float(np.max(np.abs(record.values[n]))) for n in op.outputs if n in record.values and record.values[n].size
        ]
        if op.index in record.from_data and sizes and max(sizes) > LARGE_INPUT:
            place = f"in layer {op.layer!r}" if op.layer else "in the loss"
            return (
                f"{op.kind} {place} gives numbers as large as {max(sizes):.3g}.",
                "Use an activation that does not grow so fast, or start the weights and their sds smaller.",
            )
    return "Its gradient alone is large.", "Start the weights that follow smaller."
