"""One pass through a network, as a pure function of inputs, noise and the values of variables."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from varbump.core.keras import float_dtype, keras, variables_of
from varbump.core.tracing import forget_custom_gradients
from varbump.forward._context import active_pass, entered
from varbump.forward.passes import ForwardPass
from varbump.forward.programs import remembered, tracing
from varbump.forward.stateless import at, key, make_stateless
from varbump.forward.structure import network_structure

__all__ = ["Applied", "Rehearsal", "active_pass", "apply", "called_layers", "observed", "rehearse"]


STATEFUL = (
    "Random", "StatefulStandardNormal", "StatefulUniform", "StatefulTruncatedNormal", "StatefulRandom",
    "TruncatedNormal", "ParameterizedTruncatedNormal", "Multinomial", "RngReadAndSkip",
)  # fmt: skip
"""Beginnings of the names of random operations that have a state; all others begin with Stateless."""


class Applied(NamedTuple):
    """Result of `apply`.

    Attributes
    ----------
    f : Tensor (B, Q)
        Outputs of the network.
    kl : Tensor ()
        KL(q || p) of all layers that drew, nats.
    penalty : Tensor ()
        Losses that other layers add, such as regularizers.
    drawn : list of Tensor (n,)
        The weights of each variational layer, in the order in which they were called.
    values : dict
        `values` after the pass, with updates that it made, such as those of the averages of batch normalisation.
    """

    f: Any
    kl: tf.Tensor
    penalty: tf.Tensor
    drawn: list[tf.Tensor]
    values: dict[Any, Any]


def apply(
    network: keras.Model,
    x: Any,
    *,
    noise: tf.Tensor | None = None,
    draws: Sequence[tf.Tensor] = (),
    seed: Any = (0, 0),
    values: Mapping[Any, Any] | None = None,
    training: bool = False,
    exact_kl: bool = True,
    through: ForwardPass | None = None,
) -> Applied:
    """Run one pass through a network, in which all variational layers draw their weights once.

    Parameters
    ----------
    network : tf_keras.Model
        If `values` are given, `make_stateless` must have been called on its variables.
    x : Tensor (B, D)
    noise : Tensor (P,), optional
        Standard normal numbers; `rehearse` says how many a pass takes.
    draws : sequence of Tensor (n,), optional
        Weights of the layers, which then take no noise and report no KL.
    seed : Tensor (2,), int32
        Seed of everything else that is random: Dropout, and posteriors not drawn from normal noise.
    values : mapping, optional
        Values of variables, by `varbump.forward.stateless.key`; other variables keep their own.
    training : bool, default=False
        As in Keras.
    exact_kl : bool, default=True
        If False, the KL is estimated by log q(w) - log p(w) of the draw, even if it has a closed form.
    through : ForwardPass, optional
        A custom pass, used instead of one made from `noise`, `draws`, `seed` and `exact_kl`.

    Returns
    -------
    Applied
    """
    forward = ForwardPass(noise, seed, draws, exact_kl) if through is None else through
    with at(values or {}) as after, entered(forward):
        f = _tensor(network(x, training=training), network)
        losses = network.losses
    penalty = tf.add_n([tf.cast(tf.reduce_sum(loss), f.dtype) for loss in losses]) if losses else tf.zeros([], f.dtype)
    return Applied(f, forward.kl, penalty, forward.drawn, after)


def _tensor(f: Any, network: keras.Model) -> Any:
    """Return the outputs of a pass; raise a TypeError if they are a distribution, whose draws no seed would reach."""
    if isinstance(f, tfd.Distribution):
        raise TypeError(
            f"network {network.name!r} returns a distribution, which can be separated from the function only if it is "
            f"the last layer of a Sequential or functional network; leave it out, and pass a likelihood"
        )
    return f


class Rehearsal(NamedTuple):
    """Noise that a pass takes and shapes of what it returns, found without running it.

    Attributes
    ----------
    num_noise : int
        P, standard normal numbers.
    drawn : tuple of TensorSpec
        The weights of each variational layer, in the order in which they are called.
    output : TensorSpec
    moved : tuple of int
        Indices of the network's variables that the pass assigns to.
    unseeded : tuple of str
        Names of operations that draw random numbers no seed reaches.
    """

    num_noise: int
    drawn: tuple[tf.TensorSpec, ...]
    output: tf.TensorSpec
    moved: tuple[int, ...]
    unseeded: tuple[str, ...]


def rehearse(
    network: keras.Model, shape: Sequence[int], *, training: bool = False, structure: Hashable = None
) -> Rehearsal:
    """Trace a pass over rows x of this shape, once for all networks of the same structure."""
    shape = tuple(int(size) for size in shape)
    dtype = tf.as_dtype(float_dtype(network))

    def make() -> Rehearsal:
        forward, applied, given, graph = _trace(network, tf.TensorSpec(shape, dtype), training)
        moved = tuple(i for i, v in enumerate(variables_of(network)) if applied.values[key(v)] is not given[key(v)])
        drawn = tuple(tf.TensorSpec(w.shape, w.dtype) for w in forward.drawn)
        return Rehearsal(forward.taken, drawn, tf.TensorSpec(applied.f.shape, applied.f.dtype), moved, _unseeded(graph))

    return remembered(("rehearsal", structure or network_structure(network), shape, dtype, training), make)


def called_layers(network: keras.Model, shape: Sequence[int]) -> list[Any]:
    """List the variational layers of a network, in the order in which they are called on x of this shape."""
    spec = tf.TensorSpec(tuple(shape), tf.as_dtype(float_dtype(network)))
    return _trace(network, spec, training=False)[0].layers


def observed(network: keras.Model, x: Any) -> list[tuple[Any, tf.Tensor]]:
    """List what layers record in an eager pass over rows x, whatever the network returns, with the layers."""
    forward = ForwardPass(None)
    with entered(forward):
        network(x, training=False)
    return forward.observed


def _unseeded(graph: Any) -> tuple[str, ...]:
    """Names of operations from which the outputs of a graph take numbers that are drawn from a state, not a seed."""
    reached, left = set(), [output.op for output in graph.outputs]
    while left:
        operation = left.pop()
        if operation not in reached:
            reached.add(operation)
            left.extend(tensor.op for tensor in operation.inputs)
    kinds = [(operation.name, operation.type) for operation in reached]
    if any(kind.endswith(("Call", "While", "If", "Case")) for _, kind in kinds):  # what is inside is not distinguished
        functions = graph.as_graph_def().library.function
        kinds += [(node.name, node.op) for function in functions for node in function.node_def]
    return tuple(sorted(name for name, kind in kinds if kind.startswith(STATEFUL)))


def _trace(network: keras.Model, spec: tf.TensorSpec, training: bool) -> tuple[Any, ...]:
    """Trace the pass without running it.

    It is traced twice: a Sequential calls its layers once more in the first trace with a new shape, in another graph.
    """
    found: list[Any] = []

    def traced(*tensors: Any) -> Any:
        given = {key(v): tensor for v, tensor in zip(variables_of(network), tensors, strict=True)}
        forward = ForwardPass(None)
        x = tf.zeros(spec.shape, spec.dtype)
        applied = apply(network, x, values=given, training=training, through=forward)
        found[:] = [forward, applied, given]
        return applied.f, [w for w in applied.drawn if w.graph is applied.f.graph]

    with tracing():
        make_stateless(variables_of(network), network)
        specs = [tf.TensorSpec(v.shape, v.dtype) for v in variables_of(network)]
        for _ in range(2):
            graph = tf.function(partial(traced), autograph=False).get_concrete_function(*specs).graph
            forget_custom_gradients(graph)
    return *found, graph
