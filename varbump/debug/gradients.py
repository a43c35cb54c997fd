"""Check of the gradients before training: which weights get one, which do not, and why."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from rich.console import Console

from varbump.core.checks import check_count
from varbump.core.keras import keras
from varbump.core.printed import Printed, Table
from varbump.core.random import generator, host_seed
from varbump.debug.blame import REMEDIES
from varbump.debug.heads import scale_without_floor
from varbump.debug.objective import Objective, check_rows, find_loss
from varbump.debug.reasons import non_finite, reason_of
from varbump.debug.record import Record
from varbump.debug.sizes import SCALES

__all__ = ["GradientReport", "WeightGradient", "check_gradients"]

EXPLODING = 1e8
"""Norm above which a gradient counts as exploding; lower for types in which its square overflows."""

MAX_LAYERS = 4
"""Layers named in one sentence; the table lists all of them."""


@dataclass(frozen=True)
class WeightGradient:
    """The gradient of one trainable weight.

    Attributes
    ----------
    layer, weight : str
        Names of the layer and of its weight.
    shape : tuple of int
    status : {"ok", "missing", "zero", "non-finite", "exploding"}
    norm : float or None
        Euclidean norm, in nats per observation and unit of the weight; None if the gradient is missing.
    zero_share : float or None
        Share of entries that are exactly zero.
    reason, remedy : str
        A sentence each; empty if the gradient is fine.
    """

    layer: str
    weight: str
    shape: tuple[int, ...]
    status: str
    norm: float | None
    zero_share: float | None
    reason: str = ""
    remedy: str = ""


@dataclass(frozen=True, repr=False)
class GradientReport(Printed):
    """Gradients of all trainable weights; prints as a table with reasons and remedies.

    Attributes
    ----------
    weights : tuple of WeightGradient
        From the input to the output.
    loss : float
        In nats per observation, or in the units of the loss.
    num_rows : int
        Rows that were used.
    loss_reason : str
        Why the loss itself is not finite; empty if it is finite.
    exploding : float
        Norm above which a gradient counts as exploding.
    traps : tuple of str
        A sentence or two for whatever gives usable gradients now, and none later.
    """

    weights: tuple[WeightGradient, ...]
    loss: float
    num_rows: int
    loss_reason: str = ""
    exploding: float = EXPLODING
    traps: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every trainable weight gets a usable gradient."""
        return not self.findings

    @property
    def findings(self) -> list[str]:
        """A sentence or two for each problem and the weights that share it; empty for a healthy model."""
        found = [] if self.weights else ["The model has no trainable weights."]
        if self.loss_reason:
            found.append(f"The loss is {self.loss}. {self.loss_reason}")
        bad = [weight for weight in self.weights if weight.status != "ok"]
        for (status, reason, remedy), group in groupby(
            bad, lambda weight: (weight.status, weight.reason, weight.remedy)
        ):
            called = {"zero": "all zero"}.get(status, status)
            found.append(" ".join(f"{_listed(list(group))}: the gradient is {called}. {reason} {remedy}".split()))
        return [*found, *self.traps]

    def __rich_console__(self, console: Console, options: Any) -> Any:
        table = Table(title=f"Gradients on {self.num_rows:,} rows, loss {self.loss:.4g}", title_justify="left")
        for column in ("layer", "weight"):
            table.add_column(column)
        for column in ("shape", "norm", "zeros"):
            table.add_column(column, justify="right")
        table.add_column("gradient")
        for row in self.weights:
            shape = " x ".join(f"{size:,}" for size in row.shape) or "()"
            norm = "-" if row.norm is None else f"{row.norm:.3g}"
            zeros = "-" if row.zero_share is None else f"{row.zero_share:.0%}"
            table.add_row(row.layer, row.weight, shape, norm, zeros, row.status)
        yield table
        yield from self.findings or ["Every trainable weight gets a finite gradient that is not zero."]


def _listed(weights: list[WeightGradient]) -> str:
    """List weights by layer, such as "first, kernel and bias; head, kernel"; only the first of many layers."""
    layers = [(name, [w.weight for w in group]) for name, group in groupby(weights, lambda weight: weight.layer)]
    more = f"; and in {len(layers) - MAX_LAYERS} more layers" if len(layers) > MAX_LAYERS else ""
    return "; ".join(f"{name}, {' and '.join(names)}" for name, names in layers[:MAX_LAYERS]) + more


def check_gradients(
    model: keras.Model, x: Any, y: Any, *, loss: Any = None, max_rows: int = 10_000, seed: int | None = 0
) -> GradientReport:
    """Find, before training, the weights of a tf_keras model that get no usable gradient, and why.

    A gradient can be missing, all zero, not finite, or so large that optimisers fail. Reasons are given where they can
    be found: a weight that the call does not use, or only in a condition; a dead bump or relu; a branch of a `tf.where`
    whose input is unsafe. A noise scale without a floor is named although its gradients are fine now. The model may
    contain any layers, including stock ones of TensorFlow Probability. It is traced, evaluated on one draw of its
    weights, and left unchanged.

    Parameters
    ----------
    model : tf_keras.Model
        With one input and one output; built on the first row of x if it is not built yet.
    x, y : array-like (N, D), (N, Q)
    loss : str, callable or tf_keras loss, optional
        The loss of the training, such as one of `varbump.likelihoods`, whose weights are checked too; by default the
        one that the model was compiled with.
    max_rows : int, default=10,000
        From larger data, this many rows are chosen at random.
    seed : int, optional
        Seed of the rows and of the draw.

    Returns
    -------
    GradientReport

    Raises
    ------
    ValueError
        If x or y is empty, not finite or not numeric, if their rows differ, or if no loss is known.
    TypeError
        If `model` or `loss` is not of tf_keras.
    """
    x, y = check_rows(model, x, y)
    seed, max_rows = host_seed(seed), check_count(max_rows, "max_rows")
    if len(x) > max_rows:
        rows = np.sort(generator(seed).choice(len(x), max_rows, replace=False))
        x, y = x[rows], y[rows]
    objective = Objective(model, find_loss(model, loss, x, y), x, y)
    total, gradients, record = objective.trace(seed, deep=False)
    traps = _traps(record)
    limit = min(EXPLODING, float(np.sqrt(np.finfo(x.dtype).max)))
    statuses = [_status(gradient, limit) for gradient in gradients]
    finite = bool(np.isfinite(total))
    if not finite or any(status not in ("ok", "missing") for status in statuses):
        _, _, record = objective.trace(seed, deep=True)
    found = []
    for variable, key, gradient, status in zip(objective.variables, objective.keys, gradients, statuses, strict=True):
        known = gradient is not None and gradient.size
        with np.errstate(over="ignore", invalid="ignore"):
            norm = float(np.linalg.norm(gradient.astype(np.float64))) if gradient is not None else None
        reason, remedy = ("", "") if status == "ok" else reason_of(status, objective, key, variable, record)
        found.append(
            WeightGradient(
                objective.owner[key],
                key.split("/", 1)[1],
                tuple(variable.shape),
                status,
                norm,
                float(np.mean(gradient == 0)) if known else None,
                reason,
                remedy,
            )
        )
    reason = "" if finite else " ".join(non_finite(objective, record))
    return GradientReport(tuple(found), total, len(x), reason, limit, traps)


def _traps(record: Record) -> tuple[str, ...]:
    head = scale_without_floor(record)
    if head is None:
        return ()
    operation, place = head
    return (
        f"The scale of the noise is the {SCALES[operation.kind]} of {place} without a floor: as it goes to 0, where "
        f"the network fits a row exactly, loss and gradient become nan or infinite. {REMEDIES['scale']}",
    )


def _status(gradient: np.ndarray | None, limit: float) -> str:
    if gradient is None:
        return "missing"
    if not np.all(np.isfinite(gradient)):
        return "non-finite"
    if not np.any(gradient):
        return "zero"
    return "exploding" if np.linalg.norm(gradient.astype(np.float64)) > limit else "ok"
