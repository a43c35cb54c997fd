"""A traced loss as a list of operations, with the value of each tensor and the gradient that reaches it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

__all__ = ["Operation", "Record", "Recorder", "ancestors"]

NO_GRADIENT = {"StopGradient", "Floor", "Ceil", "Round", "Rint", "Sign", "FloorDiv", "PreventGradient"}
READS = {"ReadVariableOp", "ResourceGather", "ResourceGatherNd"}


@dataclass(frozen=True)
class Operation:
    """One operation between the weights and the loss; tensors go by name.

    Attributes
    ----------
    index : int
        Place in the order of computation.
    name, kind : str
        Name in the graph, with the names of the layers around it, and type, such as "SelectV2".
    inputs, outputs : tuple of str
    layer : str or None
        The innermost layer in whose call it stands; None for the loss.
    passes : bool
        Whether a gradient can pass it: comparisons, casts to integers and roundings let none through.
    """

    index: int
    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    layer: str | None
    passes: bool


class Recorder:
    """Reads the operations up to `loss` from the graph that is being traced, and says which tensors to fetch.

    Parameters
    ----------
    loss : symbolic Tensor ()
    layers : collection of str
        Names of the layers.
    handles : mapping of str to str
        Name of the tensor that stands for each weight in this graph, to its key.
    data : sequence of symbolic Tensor
        x and y.
    """

    def __init__(self, loss: Any, layers: Collection[str], handles: Mapping[str, str], data: Sequence[Any]) -> None:
        nodes = ancestors([loss])
        self.operations = [_read(index, op, layers) for index, op in enumerate(nodes)]
        self._loss, self._handles, self._data = loss.name, dict(handles), [t.name for t in data]
        self._fetched = [t for op in nodes for t in op.outputs if t.dtype.is_floating]
        self._with_gradient: list[str] = []

    def fetch(self, loss: Any, gradients: bool = True) -> tuple[list[Any], list[Any]]:
        """Symbolic values, and the gradients of the loss with respect to them."""
        found: list[Any] = []
        if gradients:
            try:
                all_gradients = tf.gradients(loss, self._fetched)
            except LookupError:  # an operation on the way has none
                all_gradients = [None] * len(self._fetched)
            pairs = [(t.name, g) for t, g in zip(self._fetched, all_gradients, strict=True) if g is not None]
            self._with_gradient = [name for name, _ in pairs]
            found = [tf.convert_to_tensor(g) for _, g in pairs]
        return list(self._fetched), found

    def record(self, values: Iterable[Any] = (), gradients: Iterable[Any] = ()) -> Record:
        """The finished record, of what was fetched."""
        named = zip((t.name for t in self._fetched), values, strict=False)
        return Record(
            self.operations,
            {name: np.asarray(value) for name, value in named},
            {name: np.asarray(g) for name, g in zip(self._with_gradient, gradients, strict=False)},
            self._loss,
            self._handles,
            self._data,
        )


def ancestors(tensors: Sequence[Any], fed: Collection[str] = ()) -> list[Any]:
    """Operations on which tensors depend, in the order of the graph, up to the tensors that `fed` names."""
    found = {t.op for t in tensors if t.name not in fed}
    pending = list(found)
    while pending:
        for tensor in pending.pop().inputs:
            if tensor.op not in found and tensor.name not in fed:
                found.add(tensor.op)
                pending.append(tensor.op)
    return [op for op in tensors[0].graph.get_operations() if op in found]


def _read(index: int, op: Any, layers: Collection[str]) -> Operation:
    outputs = tuple(t.name for t in op.outputs)
    parts = [part for part in op.name.split("/") if part in layers]
    floating = op.type in READS or any(t.dtype.is_floating or t.dtype == tf.resource for t in op.outputs)
    from_numbers = op.type != "Cast" or op.inputs[0].dtype.is_floating
    passes = floating and from_numbers and op.type not in NO_GRADIENT
    return Operation(
        index, op.name, op.type, tuple(t.name for t in op.inputs), outputs, parts[-1] if parts else None, passes
    )


class Record:
    """Operations up to a loss in the order of computation, values by tensor, gradients by tensor."""

    def __init__(
        self,
        operations: Sequence[Operation],
        values: dict[str, np.ndarray],
        gradients: dict[str, np.ndarray],
        loss: str,
        handles: dict[str, str],
        data: Sequence[str],
    ) -> None:
        self.operations, self.values, self.gradients, self.loss = operations, values, gradients, loss
        self.handles, self.data = handles, data
        self._maker = {name: op for op in operations for name in op.outputs}
        self._users: dict[str, list[Operation]] = {}
        for op in operations:
            for name in op.inputs:
                self._users.setdefault(name, []).append(op)
        self.from_data = self.after(data)

    def after(self, tensors: Iterable[str], through: Any = None) -> set[int]:
        """Indices of the operations that depend on any of these tensors, on paths whose operations are `through`."""
        found: set[int] = set()
        pending = list(tensors)
        while pending:
            for op in self._users.get(pending.pop(), []):
                if op.index not in found:
                    found.add(op.index)
                    if through is None or through(op):
                        pending.extend(op.outputs)
        return found

    def before(self, tensor: str) -> list[Operation]:
        """Operations on which a tensor depends, the nearest first."""
        level = [self._maker[tensor]] if tensor in self._maker else []
        order, seen = [], {op.index for op in level}
        while level:
            order.extend(level)
            makers = [self._maker[name] for op in level for name in op.inputs if name in self._maker]
            level = []
            for op in makers:
                if op.index not in seen:
                    seen.add(op.index)
                    level.append(op)
        return order

    def weights_before(self, tensor: str) -> list[str]:
        """Keys of the weights on which a tensor depends, the nearest first."""
        keys = [self.handles[name] for op in self.before(tensor) for name in op.inputs if name in self.handles]
        return list(dict.fromkeys(keys))

    def of_weight(self, key: str) -> list[str]:
        """Tensors that stand for a weight."""
        return [name for name, other in self.handles.items() if other == key]

    def layer_before(self, tensor: str) -> str | None:
        """The nearest layer whose operations a tensor depends on."""
        return next((op.layer for op in self.before(tensor) if op.layer), None)

    def finite(self, op: Operation, which: dict[str, np.ndarray], side: str = "outputs") -> bool:
        """Whether the values, or the gradients, on one side of an operation are finite."""
        return all(np.all(np.isfinite(which[name])) for name in getattr(op, side) if name in which)

    def reaches_loss(self) -> set[int]:
        """Indices of all operations: only those that reach the loss are recorded."""
        return {op.index for op in self.operations}
