"""Variables whose values can be replaced: a network as a function of the values of its variables.

A compiled program that reads variables belongs to one network. If the reads return tensors instead, which are
arguments of the program, every network of the structure, every member of an ensemble and every thread can use it.
Keras 3 has a scope for this, which its optimisers on TensorFlow do not obey, and tf_keras has none: here the class of a
variable is replaced, once, by one whose reads and assignments consult the scope first. Outside of a scope the variable
behaves as before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import tensorflow as tf

from varbump.core.keras import keras, seed_by_pass, unwrapped, variables_of
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


def make_stateless(variables: Iterable[Any], network: keras.Model | None = None) -> None:
    """Make these variables, and the random layers of a network, consult the active scope; done once for each.

    Raises
    ------
    TypeError
        If a variable is of another kind, such as a distributed one.
    """
    for variable in variables:
        inner = unwrapped(variable)
        if isinstance(inner, _Stateless):
            continue
        if not isinstance(inner, Readable):
            raise TypeError(f"{variable.name} is a {type(inner).__name__}, whose value cannot be exchanged")
        found: Any = type(inner)
        inner.__class__ = _stateless(found)
    for layer in [] if network is None else network._flatten_layers():
        adopt(layer)
        seed_by_pass(layer, active_pass)


def all_variables(network: keras.Model, likelihood: Any = None) -> list[Any]:
    """List the variables of a network and of a likelihood, and make them stateless."""
    of_likelihood = [*getattr(likelihood, "variables", []), *getattr(likelihood, "constants", [])]
    make_stateless([*variables_of(network), *of_likelihood], network)
    return [*variables_of(network), *of_likelihood]


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
    return unwrapped(variable).ref()
