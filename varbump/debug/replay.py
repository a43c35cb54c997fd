"""Replay of one step of Keras, with the same rows, random numbers and weights."""

from __future__ import annotations

import itertools
from typing import Any

import tensorflow as tf

from varbump.core.keras import keras, seeds_of, trainable_variables_of, variables_of
from varbump.debug.blame import Blame, blame
from varbump.debug.record import Recorder, ancestors
from varbump.model.structure import layer_names, owners, weight_label

__all__ = ["Replay"]

NOT_RANDOM = {"ReadVariableOp", "ResourceGather", "ResourceGatherNd", "Placeholder", "VarHandleOp", "IteratorGetNext"}
CALLS = {"StatefulPartitionedCall", "PartitionedCall", "While", "StatelessWhile", "If", "StatelessIf"}

PLACES = itertools.count()
"""Numbers that make the name of each step's staging area unique."""


class Replay:
    """All that is needed to repeat a traced step: its graph, rows and random numbers.

    Random layers draw from stateful operations, which give different numbers each time. Their results are kept, and
    replace those operations when the graph runs again.

    Parameters
    ----------
    model : tf_keras.Model
    data : nested symbolic Tensor
        The batch.
    """

    def __init__(self, model: keras.Model, data: Any) -> None:
        self._model = model
        self.data = [t for t in tf.nest.flatten(data) if t is not None]
        self.loss: Any = None
        self.checks: list[Any] = []
        self.prepared = False
        self.kept: list[Any] = []
        self._place = f"varbump_replay_{next(PLACES)}"
        self._graph: Any = None

    def prepare(self) -> None:
        """Choose what to keep and what to examine, once the forward and backward passes are traced."""
        self.prepared = True
        if tf.executing_eagerly() or not hasattr(self.loss, "graph"):
            return
        graph, model, own = self.loss.graph, self._model, owners(self._model)
        self._variables = {graph.capture(v.handle).name: v for v in variables_of(model)}
        trained = {v.ref() for v in trainable_variables_of(model)}
        self._keys = {
            name: f"{own.get(v.ref())}/{weight_label(v)}" for name, v in self._variables.items() if v.ref() in trained
        }
        self._recorder = Recorder(self.loss, layer_names(model), self._keys, self.data)
        # Gradients with respect to all tensors: nothing computes them before a replay, so they are free.
        self._values_of, self._gradients_of = self._recorder.fetch(self.loss)
        nodes = ancestors([self.loss, *self._values_of, *self._gradients_of])
        seeds = {graph.capture(seed.handle).name for seed in seeds_of(model)}
        self.kept = [*self.data, *(t for op in nodes if _is_random(op) or _reads(op, seeds) for t in op.outputs)]
        captured = {id(internal): external for external, internal in graph.captures}
        inputs = [t for op in nodes for t in op.outputs if id(t) in captured and t.name not in self._variables]
        self._constants = {t.name: _resolved(captured[id(t)]) for t in inputs}
        self._graph = graph

    def keep(self) -> list[Any]:
        """Return operations that stage the rows and random numbers of each step in place of the last, uncopied."""
        if not self.kept:
            return []
        with tf.control_dependencies([tf.raw_ops.StageClear(dtypes=self._dtypes, shared_name=self._place)]):
            return [tf.raw_ops.Stage(values=self.kept, shared_name=self._place)]

    def forget(self) -> None:
        """Release the staged values."""
        if self.kept:
            tf.raw_ops.StageClear(dtypes=self._dtypes, shared_name=self._place)

    @property
    def _dtypes(self) -> list[tf.DType]:
        return [t.dtype for t in self.kept]

    def blame(self) -> Blame | None:
        """Run the step again and find what became non-finite first; None if it cannot be run."""
        if self._graph is None:
            return None
        wanted = [*self._values_of, *self._gradients_of]
        fed = (
            {t.name for t in self.kept}
            | set(self._variables)
            | {n for n, v in self._constants.items() if v is not None}
        )
        needed = {op.name for op in ancestors(wanted, fed)}
        definition = self._graph.as_graph_def()
        nodes = [node for node in definition.node if node.name in needed]
        del definition.node[:]
        definition.node.extend(nodes)
        used = set()
        for node in definition.node:  # control inputs may refer to removed nodes
            kept = [name for name in node.input if not name.startswith("^") or name[1:] in needed]
            used |= {name if ":" in name else f"{name}:0" for name in kept}
            del node.input[:]
            node.input.extend(kept)
        inner = [t.name for t in wanted if t.name not in fed]

        def run() -> Any:
            graph = tf.compat.v1.get_default_graph()
            feeds = {t.name: tf.identity(v) for t, v in zip(self.kept, values, strict=True)}
            feeds |= {name: graph.capture(v.handle) for name, v in self._variables.items()}
            feeds |= {name: graph.capture(value) for name, value in self._constants.items() if value is not None}
            inputs = {name: value for name, value in feeds.items() if name in used}
            found = tf.graph_util.import_graph_def(definition, input_map=inputs, return_elements=inner, name="replay")
            results = feeds | dict(zip(inner, found, strict=True))
            return [results[t.name] for t in wanted]

        values = tf.raw_ops.Unstage(dtypes=self._dtypes, shared_name=self._place)
        results = tf.function(run, autograph=False)()
        count = len(self._values_of)
        record = self._recorder.record(results[:count], results[count:])
        weights = {key: self._variables[name].numpy() for name, key in self._keys.items()}
        return blame(record, {key: key.split("/", 1)[0] for key in weights}, weights)


def _is_random(op: Any) -> bool:
    stateful = op.op_def is not None and op.op_def.is_stateful
    return stateful and bool(op.outputs) and op.type not in NOT_RANDOM | CALLS


def _reads(op: Any, seeds: set[str]) -> bool:
    return op.type == "ReadVariableOp" and op.inputs[0].name in seeds


def _resolved(tensor: Any) -> Any:
    """Return the eager value behind a tensor captured from outer graphs, or None if there is none."""
    while not hasattr(tensor, "numpy"):
        outer = {id(internal): external for external, internal in getattr(tensor.graph, "captures", [])}
        if id(tensor) not in outer:
            return None
        tensor = outer[id(tensor)]
    return tensor
