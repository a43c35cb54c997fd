"""Training with Keras 2: its optimisers, its steps, and the seeds of its random layers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import tensorflow as tf
import tf_keras as keras
from tf_keras.src.backend import RandomGenerator

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
    "unwrapped",
    "updates_through",
]


def unwrapped(variable: Any) -> Any:
    """Unwrap a variable from the wrapper in which Keras casts it."""
    return getattr(variable, "_variable", variable)


@contextmanager
def named_layers(model: Any) -> Iterator[None]:
    """Trace the operations of each layer under its name, as Keras 2 does by itself."""
    del model
    yield


def conditional() -> tuple[Any, str]:
    """Module and name of the conditional that optimisers use."""
    return sys.modules[keras.optimizers.Optimizer.__module__].tf, "cond"


def optimizer_state(optimizer: Any, variables: Sequence[Any]) -> list[tf.Variable]:
    """Build an optimiser for these variables, and list its own ones.

    Raises
    ------
    ValueError
        If it has been used for others.
    """
    built_for = getattr(optimizer, "_index_dict", None)
    if built_for and any(optimizer._var_key(v) not in built_for for v in variables):
        raise ValueError("optimizer has been used for other weights, whose moments it holds; make a new one")
    optimizer.build(variables)
    found = [*optimizer.variables, *vars(optimizer).values()]
    return list({unwrapped(v).ref(): v for v in found if isinstance(v, tf.Variable)}.values())


def seed_by_pass(layer: Any, active_pass: Callable[[], Any]) -> None:
    """Have a random layer, such as Dropout, take its seeds from the active pass, if there is one."""
    generator = getattr(layer, "_random_generator", None)
    if type(generator) is RandomGenerator:
        generator.__class__ = _seeded_by(active_pass)


def seeds_of(model: Any) -> list[tf.Variable]:
    """Variables from which random layers take their seeds; here none."""
    del model
    return []


@contextmanager
def keep_seeds(model: Any) -> Iterator[None]:
    """Restore the seeds of random layers after the block, since they count their traces in Python."""
    generators: list[Any] = [getattr(layer, "_random_generator", None) for layer in model._flatten_layers()]
    before = [(g, g._seed) for g in generators if hasattr(g, "_seed")]
    try:
        yield
    finally:
        for generator, seed in before:
            generator._seed = seed


def steps_of(model: Any) -> tf.Variable:
    """Counter of the steps of training."""
    return model._train_counter


def is_compiled_by_xla(model: Any) -> bool:
    """Whether the steps of training are XLA programs."""
    return bool(getattr(model, "_jit_compile", False))


def leave_xla(model: Any) -> bool:
    """Do nothing and return False: a model is compiled by XLA only if its user says so."""
    del model
    return False


def return_to_xla(model: Any) -> None:
    """Undo `leave_xla`."""


@contextmanager
def updates_through(optimizer: Any, check: Callable[[list[Any], Callable[[], Any]], None]) -> Iterator[None]:
    """Have ``check(gradients, update)`` called in place of each update of an optimiser, inside the block."""
    apply = optimizer.apply_gradients

    def checked(grads_and_vars: Any, *args: Any, **kwargs: Any) -> Any:
        pairs = list(grads_and_vars)
        if hasattr(optimizer, "build"):
            with tf.init_scope():
                optimizer.build([variable for _, variable in pairs])
        check([g for g, _ in pairs if g is not None], lambda: apply(pairs, *args, **kwargs))
        return getattr(optimizer, "iterations", None)

    object.__setattr__(optimizer, "apply_gradients", checked)
    try:
        yield
    finally:
        object.__delattr__(optimizer, "apply_gradients")


@cache
def _seeded_by(active_pass: Callable[[], Any]) -> type:
    class _SeededByPass(RandomGenerator):
        """Generator of a random layer, such as Dropout; inside a pass its numbers depend on the seed of the pass."""

        @property
        def _rng_type(self) -> str:
            return self.RNG_STATELESS if active_pass() is not None else self.__dict__["_rng_type"]

        @_rng_type.setter
        def _rng_type(self, value: str) -> None:
            self.__dict__["_rng_type"] = value

        def _maybe_init(self) -> None:
            if active_pass() is None:
                super()._maybe_init()

        def make_seed_for_stateless_op(self) -> Any:
            """A seed (2,)."""
            forward = active_pass()
            return super().make_seed_for_stateless_op() if forward is None else forward.take_seed()

        def dropout(self, inputs: Any, rate: Any, noise_shape: Any = None) -> Any:
            """Apply dropout as Keras does; in a pass, with a generator that gives the same eagerly and compiled."""
            forward = active_pass()
            if forward is None:
                return super().dropout(inputs, rate, noise_shape)
            return tf.nn.experimental.stateless_dropout(
                inputs, rate=rate, noise_shape=noise_shape, seed=forward.take_seed(), rng_alg=ALGORITHM
            )

    return _SeededByPass
