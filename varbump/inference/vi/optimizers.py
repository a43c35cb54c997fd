"""How a gradient becomes a step: our Adam, or any optimiser of tf_keras."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from varbump.core.keras import keras, refuse_keras3

__all__ = ["Adam", "KerasOptimizer", "make_optimizer"]

MAX_PACKED_SIZE = 16_384
"""Variables up to this size share one vector: one update for all instead of a handful of kernels for each."""


class Adam:
    r"""Adam on vectors that hold all small variables at once; its state travels with the loop.

    .. math:: \theta \leftarrow \theta - \alpha_t\, m_t / \sqrt{v_t + \epsilon^2}, \quad
              \alpha_t = \mathrm{rate}_t \sqrt{1 - \beta_2^t} / (1 - \beta_1^t)

    References
    ----------
    Kingma and Ba (2015), "Adam", algorithm 1 with the reordering at the end of section 2.
    """

    beta_1, beta_2, epsilon = 0.9, 0.999, 1e-7

    def __init__(self, variables: Sequence[tf.Variable]) -> None:
        small = [v for v in variables if v.shape.num_elements() <= MAX_PACKED_SIZE]
        dtypes = sorted({v.dtype.name for v in small})
        packs = [[v for v in small if v.dtype.name == dtype] for dtype in dtypes]
        self._groups = packs + [[v] for v in variables if v.shape.num_elements() > MAX_PACKED_SIZE]
        self._variables = list(variables)

    variables: tuple[tf.Variable, ...] = ()  # its state is not in variables

    def step_sizes(self, learning_rates: np.ndarray) -> np.ndarray:
        """alpha_t of every step of a run, (num_steps,)."""
        t = 1.0 + np.arange(len(learning_rates))
        return learning_rates * np.sqrt(1.0 - self.beta_2**t) / (1.0 - self.beta_1**t)

    def initial_state(self) -> list[tf.Tensor]:
        """Parameters, first and second moments of each group."""
        parameters = [self._pack([tf.convert_to_tensor(v) for v in group]) for group in self._groups]
        return parameters + [tf.zeros_like(p) for p in parameters] * 2

    def load(self, state: Sequence[tf.Tensor]) -> None:
        """Assign the parameters of `state` to the variables."""
        for group, values in zip(self._groups, state[: len(self._groups)], strict=True):
            if len(group) == 1:
                group[0].assign(values)
                continue
            start = 0
            for variable in group:
                size = variable.shape.num_elements()
                variable.assign(tf.reshape(values[start : start + size], variable.shape))
                start += size

    def step(
        self, state: Sequence[tf.Tensor], gradients: Sequence[tf.Tensor | None], alpha: tf.Tensor
    ) -> list[tf.Tensor]:
        """The state after one step; gradients in the order of the variables, None for an unused one."""
        of = {v.ref(): g for v, g in zip(self._variables, gradients, strict=True)}
        count = len(self._groups)
        parameters, first, second = state[:count], state[count : 2 * count], state[2 * count :]
        new: tuple[list[tf.Tensor], ...] = ([], [], [])
        for group, theta, m, v in zip(self._groups, parameters, first, second, strict=True):
            g = self._pack([tf.zeros(w.shape, w.dtype) if of[w.ref()] is None else of[w.ref()] for w in group])
            m = m + (1.0 - self.beta_1) * (g - m)
            v = v + (1.0 - self.beta_2) * (tf.square(g) - v)
            scale = _reciprocal_sqrt(v + self.epsilon**2)
            new[0].append(theta - tf.cast(alpha, theta.dtype) * m * scale)
            new[1].append(m)
            new[2].append(v)
        return new[0] + new[1] + new[2]

    @staticmethod
    def _pack(tensors: list[tf.Tensor]) -> tf.Tensor:
        if len(tensors) == 1:
            return tf.convert_to_tensor(tensors[0])
        return tf.concat([tf.reshape(t, [-1]) for t in tensors], 0)


class KerasOptimizer:
    """Any optimiser of tf_keras; its state stays in its own variables and its learning rate is its own."""

    def __init__(self, optimizer: Any, variables: Sequence[tf.Variable]) -> None:
        self._optimizer = optimizer
        self._variables = list(variables)
        optimizer.build(self._variables)

    def step_sizes(self, learning_rates: np.ndarray) -> np.ndarray:
        """Not used: the optimiser has its own."""
        return learning_rates

    def initial_state(self) -> list[tf.Tensor]:
        """Nothing that would travel with the loop."""
        return []

    def load(self, state: Sequence[tf.Tensor]) -> None:
        """Nothing to do: the variables are the state."""

    def step(
        self, state: Sequence[tf.Tensor], gradients: Sequence[tf.Tensor | None], alpha: tf.Tensor
    ) -> list[tf.Tensor]:
        """Apply the gradients to the variables."""
        del state, alpha
        self._optimizer.apply_gradients(
            [(g, v) for g, v in zip(gradients, self._variables, strict=True) if g is not None]
        )
        return []

    @property
    def variables(self) -> list[tf.Variable]:
        """Where the optimiser keeps its state."""
        return list(self._optimizer.variables)


def make_optimizer(optimizer: Any, variables: Sequence[tf.Variable]) -> Adam | KerasOptimizer:
    """Our Adam for None, otherwise the tf_keras optimiser that was passed or named.

    Raises
    ------
    TypeError
        If it is a Keras 3 optimiser, or no optimiser at all.
    """
    if optimizer is None:
        return Adam(variables)
    refuse_keras3(optimizer, "optimizer")
    if isinstance(optimizer, str):
        optimizer = keras.optimizers.get(optimizer)
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise TypeError(f"optimizer must be None, a name or a tf_keras optimizer, got {type(optimizer).__name__}")
    return KerasOptimizer(optimizer, variables)


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
