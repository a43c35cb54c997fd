"""Optimisers: the built-in Adam, or any optimiser of Keras."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from numbers import Real
from typing import Any

import numpy as np
import tensorflow as tf

from varbump.core.keras import (
    NAME,
    conditional,
    is_of_keras,
    keras,
    optimizer_state,
    refuse_other_keras,
    unwrapped,
    wrapped,
)
from varbump.forward.stateless import at, key, make_stateless
from varbump.forward.structure import Undescribable, frozen, token

__all__ = ["Adam", "KerasOptimizer", "make_optimizer"]

MAX_PACKED_SIZE = 16_384
"""Variables up to this size share one vector, with one update for all instead of several kernels for each."""


class Adam:
    r"""Adam on vectors that combine all small variables.

    .. math:: \theta \leftarrow \theta - \alpha_t\, m_t / \sqrt{v_t + \epsilon^2}, \quad
              \alpha_t = \mathrm{rate}_t \sqrt{1 - \beta_2^t} / (1 - \beta_1^t)

    Its state has the parameters and the first and second moments of each group of variables.

    Parameters
    ----------
    specs : sequence of TensorSpec (K, ...)
        Specifications of the values of each variable.

    References
    ----------
    Kingma and Ba (2015), "Adam", algorithm 1 with the reordering at the end of section 2.
    """

    beta_1, beta_2, epsilon = 0.9, 0.999, 1e-7

    structure: Hashable = "adam"
    uses_rates = True
    """Whether the learning rates are those that it is given."""

    def __init__(self, specs: Sequence[tf.TensorSpec]) -> None:
        self._specs = list(specs)
        small = [i for i, spec in enumerate(specs) if spec.shape.num_elements() <= MAX_PACKED_SIZE]
        dtypes = sorted({specs[i].dtype.name for i in small})
        packs = [[i for i in small if specs[i].dtype.name == dtype] for dtype in dtypes]
        self._groups = packs + [[i] for i in range(len(specs)) if i not in small]

    def step_sizes(self, learning_rates: np.ndarray, first: int = 0) -> np.ndarray:
        """Step sizes alpha_t of the steps from number `first` on, (num_steps,)."""
        t = 1.0 + first + np.arange(len(learning_rates))
        return learning_rates * np.sqrt(1.0 - self.beta_2**t) / (1.0 - self.beta_1**t)

    def start(self, values: Sequence[Any]) -> list[tf.Tensor]:
        """The state before the first step."""
        parameters = [self._pack(group, [tf.convert_to_tensor(values[i]) for i in group]) for group in self._groups]
        return parameters + [tf.zeros_like(p) for p in parameters] * 2

    def values(self, state: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Values of the variables (K, ...), in their order."""
        values: list[Any] = [None] * len(self._specs)
        for group, packed in zip(self._groups, state[: len(self._groups)], strict=True):
            if len(group) == 1:
                values[group[0]] = tf.reshape(packed, self._specs[group[0]].shape)
                continue
            start = 0
            for i in group:
                size = self._specs[i].shape.num_elements()
                values[i] = tf.reshape(packed[start : start + size], self._specs[i].shape)
                start += size
        return values

    def step(self, state: Sequence[tf.Tensor], gradients: Sequence[tf.Tensor], alpha: tf.Tensor) -> list[tf.Tensor]:
        """State after one step; gradients are in the order of the variables."""
        count = len(self._groups)
        parameters, first, second = state[:count], state[count : 2 * count], state[2 * count :]
        new: tuple[list[tf.Tensor], ...] = ([], [], [])
        for group, theta, m, v in zip(self._groups, parameters, first, second, strict=True):
            g = self._pack(group, [gradients[i] for i in group])
            m = m + (1.0 - self.beta_1) * (g - m)
            v = v + (1.0 - self.beta_2) * (tf.square(g) - v)
            scale = _reciprocal_sqrt(v + self.epsilon**2)
            new[0].append(theta - tf.cast(alpha, theta.dtype) * m * scale)
            new[1].append(m)
            new[2].append(v)
        return new[0] + new[1] + new[2]

    def finish(self, state: Sequence[tf.Tensor]) -> None:
        """Do nothing: the state need not be written back."""

    @staticmethod
    def _pack(group: Sequence[int], tensors: list[tf.Tensor]) -> tf.Tensor:
        """Concatenate several variables into one vector; a large one keeps its shape."""
        return tensors[0] if len(group) == 1 else tf.concat([tf.reshape(t, [-1]) for t in tensors], 0)


class KerasOptimizer:
    """Any optimiser of Keras, which has its own learning rate and gets its state back after a run.

    Parameters
    ----------
    optimizer : tf_keras optimizer
    variables : sequence of tf.Variable
        Variables of one network. For several members, substitutes with a leading axis are made.
    num_members : int
    """

    uses_rates = False

    def __init__(self, optimizer: Any, variables: Sequence[tf.Variable], num_members: int) -> None:
        self._optimizer, self._single = optimizer, num_members == 1
        optimizer.jit_compile = False  # it is compiled as part of the loop
        self._variables = list(variables) if self._single else [_stacked(v, num_members) for v in variables]
        self._wrapped = wrapped(self._variables)
        self._own = optimizer_state(optimizer, self._wrapped)
        make_stateless([*self._variables, *self._own])
        self.structure = _structure(optimizer)

    def step_sizes(self, learning_rates: np.ndarray, first: int = 0) -> np.ndarray:
        """Return the rates, which are not used: the optimiser has its own."""
        del first
        return learning_rates

    def start(self, values: Sequence[Any]) -> list[tf.Tensor]:
        """Initial state: the values of the variables and of the optimiser's own variables."""
        return [tf.convert_to_tensor(value) for value in [*values, *self._own]]

    def values(self, state: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Values of the variables (K, ...), in their order."""
        return list(state[: len(self._variables)])

    def step(self, state: Sequence[tf.Tensor], gradients: Sequence[tf.Tensor], alpha: tf.Tensor) -> list[tf.Tensor]:
        """The state after the gradients have been applied."""
        del alpha
        count = len(self._variables)
        values = [v[0] for v in state[:count]] if self._single else state[:count]
        gradients = [g[0] for g in gradients] if self._single else gradients
        variables = [*self._variables, *self._own]
        with at({key(v): t for v, t in zip(variables, [*values, *state[count:]], strict=True)}) as after:
            with _both_branches(after):
                self._optimizer.apply_gradients(list(zip(gradients, self._wrapped, strict=True)))
        new = [after[key(v)] for v in variables]
        return [*(v[None] for v in new[:count]), *new[count:]] if self._single else new

    def finish(self, state: Sequence[tf.Tensor]) -> None:
        """Assign the state to the optimiser's own variables."""
        for variable, value in zip(self._own, state[len(self._variables) :], strict=True):
            variable.assign(value)


def _stacked(variable: tf.Variable, num_members: int) -> tf.Variable:
    return tf.Variable(tf.zeros([num_members, *variable.shape], variable.dtype), name=variable.name.split(":")[0])


@contextmanager
def _both_branches(values: dict[Any, Any]) -> Iterator[None]:
    """Inside the block, `tf.cond` takes both branches and selects: values assigned in one must not stay in it."""

    def select(pred: Any, true_fn: Any = None, false_fn: Any = None, name: Any = None) -> Any:
        del name
        before = dict(values)
        of_true, after_true = true_fn(), dict(values)
        values.update(before)
        of_false = false_fn()
        for name_of, value in after_true.items():
            values[name_of] = tf.where(pred, value, values[name_of])
        return of_true if of_true is None else tf.nest.map_structure(partial(tf.where, pred), of_true, of_false)

    module, name_of_cond = conditional()
    original = getattr(module, name_of_cond)
    setattr(module, name_of_cond, select)
    try:
        yield
    finally:
        setattr(module, name_of_cond, original)


def _structure(optimizer: Any) -> Hashable:
    """What the update computes, but for the learning rate, which is a variable unless it is a schedule."""
    parts = [optimizer, getattr(optimizer, "_learning_rate", optimizer)]
    known = all(isinstance(unwrapped(part), tf.Variable) or is_of_keras(part) for part in parts)
    excluded = any(vars(optimizer).get(f"_exclude_from_weight_decay{end}") for end in ("", "_names"))
    if not known or excluded:
        return ("an optimizer of its own", token(optimizer))
    configuration = dict(optimizer.get_config())
    if isinstance(configuration.get("learning_rate"), Real):
        del configuration["learning_rate"]
    try:
        return type(optimizer), frozen(configuration)
    except Undescribable:
        return ("an optimizer of its own", token(optimizer))


def make_optimizer(optimizer: Any, variables: Sequence[tf.Variable], num_members: int = 1) -> Adam | KerasOptimizer:
    """Make the built-in Adam for None, otherwise wrap the tf_keras optimiser that was passed or named.

    Raises
    ------
    TypeError
        If it is an optimiser of the other Keras, or not an optimiser.
    """
    if optimizer is None:
        return Adam([tf.TensorSpec([num_members, *v.shape], v.dtype) for v in variables])
    refuse_other_keras(optimizer, "optimizer")
    if isinstance(optimizer, str):
        optimizer = keras.optimizers.get(optimizer)
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise TypeError(f"optimizer must be None, a name or a {NAME} optimizer, got {type(optimizer).__name__}")
    return KerasOptimizer(optimizer, variables, num_members)


def _reciprocal_sqrt(v: tf.Tensor) -> tf.Tensor:
    """Compute 1 / sqrt(v) for positive v, with a relative error of 5e-6 in float32.

    Division and square root limit the speed of Adam on a CPU, and an Adam step does not need seven digits. Here two
    Newton steps, starting from the exponent halved in integer arithmetic, take multiplications only.

    References
    ----------
    Lomont (2003), "Fast Inverse Square Root".
    """
    if v.dtype != tf.float32:
        return tf.math.rsqrt(v)
    half_exponent = 0x5F3759DF - tf.bitwise.right_shift(tf.bitcast(v, tf.int32), 1)
    estimate = tf.bitcast(half_exponent, tf.float32)
    for _ in range(2):
        estimate *= 1.5 - 0.5 * v * estimate * estimate
    return estimate
