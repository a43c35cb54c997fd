"""Record of a traced loss: its operations, the values of their tensors, and the gradients that reach them."""

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
    """One operation between the weights and the loss; tensors are referred to by name.

    Attributes
    ----------
    index : int
        Position in the order of computation.
    name, kind : str
        Name in the graph, which includes those of the layers around it, and type, such as "SelectV2".
    inputs, outputs : tuple of str
    layer : str or None
        Innermost layer whose call contains it; None for the loss.
    passes : bool
        Whether a gradient can pass; comparisons, casts to integers and roundings block it.
    """

    index: int
    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    layer: str | None
    passes: bool


class Recorder:
    """Reader of the operations up to `loss` in the graph being traced, which selects the tensors to fetch.

    Parameters
    ----------
    loss : symbolic Tensor ()
    layers : collection of str
        Names of the layers.
    handles : mapping of str to str
        Maps the tensor that represents a weight in this graph to the key of the weight.
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
        """Return symbolic values, and the gradients of the loss with respect to them."""
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
        """Return the finished record, from what was fetched."""
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
    """Return the operations on which tensors depend, in the order of the graph, stopping at the tensors in `fed`."""
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
    """Operations up to a loss, in order of computation, with values and gradients by tensor."""

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
        """Return indices of operations that depend on any of the tensors, along paths that satisfy `through`."""
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
        """Return the operations on which a tensor depends, nearest first."""
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
        """Return keys of the weights on which a tensor depends, nearest first."""
        keys = [self.handles[name] for op in self.before(tensor) for name in op.inputs if name in self.handles]
        return list(dict.fromkeys(keys))

    def of_weight(self, key: str) -> list[str]:
        """Return the tensors that represent a weight."""
        return [name for name, other in self.handles.items() if other == key]

    def layer_before(self, tensor: str) -> str | None:
        """Return the nearest layer on whose operations a tensor depends."""
        return next((op.layer for op in self.before(tensor) if op.layer), None)

    def finite(self, op: Operation, which: dict[str, np.ndarray], side: str = "outputs") -> bool:
        """Whether the values, or the gradients, on one side of an operation are finite."""
        return all(np.all(np.isfinite(which[name])) for name in getattr(op, side) if name in which)
