"""Training with Keras 3: its optimisers, its steps, and the seeds of its random layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, wraps
from typing import Any

import keras
import tensorflow as tf
from keras.src.backend.tensorflow import core

from varbump.core.keras3_variables import unwrapped
from varbump.core.random import ALGORITHM

__all__ = [
    "conditional",
    "is_compiled_by_xla",
    "keep_seeds",
    "leave_xla",
    "named_layers",
    "optimizer_state",
    "return_to_xla",
    "seed_by_pass",
    "seeds_of",
    "steps_of",
    "updates_through",
]


@contextmanager
def named_layers(model: keras.Model) -> Iterator[None]:
    """Trace the operations of each layer under its name, inside the block; Keras 3 puts numbers after it."""
    layers = [layer for layer in model._flatten_layers() if not isinstance(layer, keras.Model)]
    before = [(layer, vars(layer).get("call")) for layer in layers]
    for layer in layers:
        object.__setattr__(layer, "call", _named(layer.call, layer.name))
    try:
        yield
    finally:
        for layer, call in before:
            if call is None:
                object.__delattr__(layer, "call")
            else:
                object.__setattr__(layer, "call", call)


def _named(call: Callable[..., Any], name: str) -> Callable[..., Any]:
    @wraps(call)
    def named(*args: Any, **kwargs: Any) -> Any:
        with tf.name_scope(f"{name}/"):  # the slash keeps TensorFlow from making the name unique
            return call(*args, **kwargs)

    return named


def conditional() -> tuple[Any, str]:
    """Module and name of the conditional that optimisers use."""
    return core, "cond"


def optimizer_state(optimizer: Any, variables: Sequence[Any]) -> list[tf.Variable]:
    """Build an optimiser for these variables, and list its own ones.

    Raises
    ------
    ValueError
        If it has been used for others.
    """
    known = optimizer._trainable_variables_indices
    if known and any(optimizer._var_key(v) not in known for v in variables):
        raise ValueError("optimizer has been used for other weights, whose moments it holds; make a new one")
    if not optimizer.built:
        optimizer.build(list(variables))
    return [unwrapped(variable) for variable in optimizer.variables]


def seed_by_pass(layer: Any, active_pass: Callable[[], Any]) -> None:
    """Have a random layer, such as Dropout, take its seeds from the active pass, if there is one."""
    for generator in getattr(layer, "_seed_generators", ()):
        if type(generator) is keras.random.SeedGenerator:
            generator.__class__ = _seeded_by(active_pass)
    if type(layer) is keras.layers.Dropout and "call" not in vars(layer):
        object.__setattr__(layer, "call", _dropout(layer, active_pass))


def seeds_of(model: Any) -> list[tf.Variable]:
    """Variables from which random layers take their seeds."""
    layers = model._flatten_layers()
    return [unwrapped(generator.state) for layer in layers for generator in layer._seed_generators]


@contextmanager
def keep_seeds(model: Any) -> Iterator[None]:
    """Restore the seeds of random layers after the block."""
    before = [(seed, tf.identity(seed)) for seed in seeds_of(model)]
    try:
        yield
    finally:
        for seed, value in before:
            seed.assign(value)


def steps_of(model: Any) -> tf.Variable:
    """Counter of the steps of training, of which a step that fails is none."""
    return unwrapped(model.optimizer._iterations)


def is_compiled_by_xla(model: Any) -> bool:
    """Whether the steps of training are XLA programs."""
    return bool(model.jit_compile)


def leave_xla(model: Any) -> bool:
    """Have a model train without XLA, which Keras 3 chooses by itself; return whether it did not before."""
    was, model.jit_compile = bool(model.jit_compile), False
    return was


def return_to_xla(model: Any) -> None:
    """Undo `leave_xla`."""
    model.jit_compile = True


@contextmanager
def updates_through(optimizer: Any, check: Callable[[list[Any], Callable[[], Any]], None]) -> Iterator[None]:
    """Have ``check(gradients, update)`` called in place of each update of an optimiser, inside the block."""
    apply = optimizer.apply

    def checked(grads: Any, trainable_variables: Any = None) -> None:
        gradients = list(grads)
        if not optimizer.built and trainable_variables is not None:
            with tf.init_scope():
                optimizer.build(list(trainable_variables))
        check([g for g in gradients if g is not None], lambda: apply(gradients, trainable_variables))

    object.__setattr__(optimizer, "apply", checked)
    try:
        yield
    finally:
        object.__delattr__(optimizer, "apply")


@cache
def _seeded_by(active_pass: Callable[[], Any]) -> type:
    class SeedGenerator(keras.random.SeedGenerator):
        """Generator of a random layer; inside a pass its seeds are those of the pass."""

        def next(self, ordered: bool = True) -> Any:
            """A seed (2,)."""
            forward = active_pass()
            return super().next(ordered) if forward is None else forward.take_seed()

    return SeedGenerator


def _dropout(layer: Any, active_pass: Callable[[], Any]) -> Callable[..., Any]:
    """`call` of Dropout; in a pass, with a generator that gives the same eagerly and compiled."""
    outside = layer.call

    def call(inputs: Any, training: bool = False) -> Any:
        forward = active_pass()
        if forward is None or not training or not 0.0 < layer.rate < 1.0:
            return outside(inputs, training=training)
        return tf.nn.experimental.stateless_dropout(
            inputs, rate=layer.rate, noise_shape=layer.noise_shape, seed=forward.take_seed(), rng_alg=ALGORITHM
        )

    return call
