"""How a gradient becomes a step: our Adam, or any optimiser of tf_keras."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from numbers import Real
from typing import Any

import numpy as np
import tensorflow as tf

from varbump.core.keras import keras, refuse_keras3
from varbump.forward.stateless import at, key, make_stateless
from varbump.forward.structure import Undescribable, frozen

__all__ = ["Adam", "KerasOptimizer", "make_optimizer"]

MAX_PACKED_SIZE = 16_384
"""Variables up to this size share one vector: one update for all instead of a handful of kernels for each."""


class Adam:
    r"""Adam on vectors that hold all small variables at once.

    .. math:: \theta \leftarrow \theta - \alpha_t\, m_t / \sqrt{v_t + \epsilon^2}, \quad
              \alpha_t = \mathrm{rate}_t \sqrt{1 - \beta_2^t} / (1 - \beta_1^t)

    Its state is parameters, first and second moments of each group of variables.

    Parameters
    ----------
    specs : sequence of TensorSpec (K, ...)
        Of the values of each variable.

    References
    ----------
    Kingma and Ba (2015), "Adam", algorithm 1 with the reordering at the end of section 2.
    """

    beta_1, beta_2, epsilon = 0.9, 0.999, 1e-7

    structure: Hashable = "adam"

    def __init__(self, specs: Sequence[tf.TensorSpec]) -> None:
        self._specs = list(specs)
        small = [i for i, spec in enumerate(specs) if spec.shape.num_elements() <= MAX_PACKED_SIZE]
        dtypes = sorted({specs[i].dtype.name for i in small})
        packs = [[i for i in small if specs[i].dtype.name == dtype] for dtype in dtypes]
        self._groups = packs + [[i] for i in range(len(specs)) if i not in small]

    def step_sizes(self, learning_rates: np.ndarray) -> np.ndarray:
        """alpha_t of every step of a run, (num_steps,)."""
        t = 1.0 + np.arange(len(learning_rates))
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
        """The state after one step; gradients in the order of the variables."""
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
        """Nothing to write back."""

    @staticmethod
    def _pack(group: Sequence[int], tensors: list[tf.Tensor]) -> tf.Tensor:
        """One vector for several variables; a large one keeps its shape."""
        return tensors[0] if len(group) == 1 else tf.concat([tf.reshape(t, [-1]) for t in tensors], 0)


class KerasOptimizer:
    """Any optimiser of tf_keras; its learning rate is its own, and so is its state at the end of a run.

    Parameters
    ----------
    optimizer : tf_keras optimizer
    variables : sequence of tf.Variable
        Of one network. Several members have stand-ins with a leading axis.
    num_members : int
    """

    def __init__(self, optimizer: Any, variables: Sequence[tf.Variable], num_members: int) -> None:
        self._optimizer, self._single = optimizer, num_members == 1
        optimizer.jit_compile = False  # it is compiled with all the rest
        self._variables = list(variables) if self._single else [_stacked(v, num_members) for v in variables]
        optimizer.build(self._variables)
        own = [*optimizer.variables, getattr(optimizer, "_learning_rate", None)]
        own.append(getattr(optimizer, "_current_learning_rate", None))
        by_key = {key(v): v for v in own if isinstance(v, tf.Variable)}
        self._own = list(by_key.values())
        make_stateless([*self._variables, *self._own])
        self.structure = _structure(optimizer)

    def step_sizes(self, learning_rates: np.ndarray) -> np.ndarray:
        """Not used: the optimiser has its own."""
        return learning_rates

    def start(self, values: Sequence[Any]) -> list[tf.Tensor]:
        """The values of the variables, and those of the optimiser's own."""
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
            self._optimizer.apply_gradients(list(zip(gradients, self._variables, strict=True)))
        new = [after[key(v)] for v in variables]
        return [*(v[None] for v in new[:count]), *new[count:]] if self._single else new

    def finish(self, state: Sequence[tf.Tensor]) -> None:
        """Have the optimiser hold its state."""
        for variable, value in zip(self._own, state[len(self._variables) :], strict=True):
            variable.assign(value)


def _stacked(variable: tf.Variable, num_members: int) -> tf.Variable:
    return tf.Variable(tf.zeros([num_members, *variable.shape], variable.dtype), name=variable.name.split(":")[0])


def _structure(optimizer: Any) -> Hashable:
    """What the update computes, but for the learning rate, which is a variable unless it is a schedule."""
    configuration = dict(optimizer.get_config())
    if isinstance(configuration.get("learning_rate"), Real):
        del configuration["learning_rate"]
    try:
        if type(optimizer).__module__.startswith("tf_keras."):
            return type(optimizer), frozen(configuration)
    except Undescribable:
        pass
    return ("an optimizer of its own", optimizer)


def make_optimizer(optimizer: Any, variables: Sequence[tf.Variable], num_members: int = 1) -> Adam | KerasOptimizer:
    """Our Adam for None, otherwise the tf_keras optimiser that was passed or named.

    Raises
    ------
    TypeError
        If it is a Keras 3 optimiser, or no optimiser at all.
    """
    if optimizer is None:
        return Adam([tf.TensorSpec([num_members, *v.shape], v.dtype) for v in variables])
    refuse_keras3(optimizer, "optimizer")
    if isinstance(optimizer, str):
        optimizer = keras.optimizers.get(optimizer)
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise TypeError(f"optimizer must be None, a name or a tf_keras optimizer, got {type(optimizer).__name__}")
    return KerasOptimizer(optimizer, variables, num_members)


def _reciprocal_sqrt(v: tf.Tensor) -> tf.Tensor:
    """1 / sqrt(v) for positive v, to 5e-6 relative in float32.

    Division and square root are what bounds Adam on a CPU, an Adam step needs no seven digits of them. Two Newton
    steps from the exponent halved in integer arithmetic are multiplications only.

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
