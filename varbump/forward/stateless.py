"""Variables whose values can be replaced: a network as a function of the values of its variables.

A compiled program that reads variables belongs to one network. If the reads return tensors instead, which are
arguments of the program, every network of the structure, every member of an ensemble and every thread can use it.
Keras 3 has a stateless scope for this; for `tf_keras`, the class of a variable is replaced, once, by one whose reads
and assignments consult the scope first. Outside of a scope the variable behaves as before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import tensorflow as tf

from varbump.core.keras import RandomGenerator, keras
from varbump.core.random import ALGORITHM
from varbump.forward._context import active_pass, active_values, taking
from varbump.forward.stock import adopt

__all__ = ["all_variables", "at", "key", "make_stateless"]

with tf.Graph().as_default():  # an eager variable would start TensorFlow, and a strategy or devices come before that
    Readable: Any = type(tf.Variable(0.0, trainable=False, name="varbump_unused")).__mro__[1]
"""Base of variables with one value; those that are created inside of a tf.function are of another class."""


class _Stateless:
    """Mixin of variables that read and update their value in the active scope, if that has one for them."""

    ref: Any
    dtype: Any
    shape: Any

    def _as_before(self) -> Any:
        """The variable with the methods of its own class."""
        return super()

    def _given(self) -> Any:
        values = active_values()
        return None if values is None else values.get(self.ref())

    def _update(self, value: Any) -> _Stateless:
        values: Any = active_values()
        values[self.ref()] = tf.ensure_shape(tf.cast(value, self.dtype), self.shape)
        return self

    def _read_variable_op(self, no_copy: bool = False) -> Any:
        given = self._given()
        return self._as_before()._read_variable_op(no_copy) if given is None else given

    def sparse_read(self, indices: Any, name: Any = None) -> Any:
        """Rows of the value."""
        given = self._given()
        return self._as_before().sparse_read(indices, name) if given is None else tf.gather(given, indices)

    def gather_nd(self, indices: Any, name: Any = None) -> Any:
        """Entries of the value."""
        given = self._given()
        return self._as_before().gather_nd(indices, name) if given is None else tf.gather_nd(given, indices)

    def assign(self, value: Any, use_locking: Any = None, name: Any = None, read_value: bool = True) -> Any:
        """Replace the value."""
        if self._given() is None:
            return self._as_before().assign(value, use_locking, name, read_value)
        return self._update(value)

    def assign_add(self, delta: Any, use_locking: Any = None, name: Any = None, read_value: bool = True) -> Any:
        """Add to the value."""
        given = self._given()
        if given is None:
            return self._as_before().assign_add(delta, use_locking, name, read_value)
        return self._update(given + tf.cast(delta, given.dtype))

    def assign_sub(self, delta: Any, use_locking: Any = None, name: Any = None, read_value: bool = True) -> Any:
        """Subtract from the value."""
        given = self._given()
        if given is None:
            return self._as_before().assign_sub(delta, use_locking, name, read_value)
        return self._update(given - tf.cast(delta, given.dtype))


@cache
def _stateless(cls: Any) -> type:
    return type(_Stateless.__name__, (_Stateless, cls), {})


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


def make_stateless(variables: Iterable[Any], network: keras.Model | None = None) -> None:
    """Make these variables, and the random layers of a network, consult the active scope; done once for each.

    Raises
    ------
    TypeError
        If a variable is of another kind, such as a distributed one.
    """
    for variable in variables:
        inner = _inner(variable)
        if isinstance(inner, _Stateless):
            continue
        if not isinstance(inner, Readable):
            raise TypeError(f"{variable.name} is a {type(inner).__name__}, whose value cannot be exchanged")
        found: Any = type(inner)
        inner.__class__ = _stateless(found)
    for layer in [] if network is None else network._flatten_layers():
        adopt(layer)
        generator = getattr(layer, "_random_generator", None)
        if type(generator) is RandomGenerator:
            generator.__class__ = _SeededByPass


def all_variables(network: keras.Model, likelihood: Any = None) -> list[Any]:
    """List the variables of a network and of a likelihood, and make them stateless."""
    of_likelihood = [*getattr(likelihood, "variables", []), *getattr(likelihood, "constants", [])]
    make_stateless([*network.variables, *of_likelihood], network)
    return [*network.variables, *of_likelihood]


@contextmanager
def at(values: Mapping[Any, Any]) -> Iterator[dict[Any, Any]]:
    """Replace the values of variables by the tensors in `values`, by `key`, inside the block.

    Yields
    ------
    dict
        The values, updated by all assignments, such as those of moving averages.

    Raises
    ------
    RuntimeError
        If executed eagerly: TensorFlow's eager operations read variables directly.
    """
    if values and tf.executing_eagerly():
        raise RuntimeError("variables can be given other values inside of a tf.function only")
    present = {**(active_values() or {}), **values}
    with taking(present):
        yield present


def key(variable: Any) -> Any:
    """Key of a variable for `at`."""
    return _inner(variable).ref()


def _inner(variable: Any) -> Any:
    """Unwrap a variable from the wrapper in which Keras casts it."""
    return getattr(variable, "_variable", variable)
