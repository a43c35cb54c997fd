"""Normal likelihood with a fixed scale."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from varbump.core.checks import check_number
from varbump.core.random import standard_normal
from varbump.core.registry import register_builtin
from varbump.likelihoods.base import Likelihood
from varbump.likelihoods.noise import NormalNoise

__all__ = ["Normal"]


@register_builtin("NormalLikelihood")
class Normal(Likelihood):
    r"""Normal likelihood with a fixed scale, :math:`p(y | f) = N(y; f, \mathrm{scale}^2)`.

    With a fixed scale, the negative log-likelihood of finite input is always finite. If a network also predicts the
    scale, the log of a vanishing scale can turn the loss into nan. It is also a Keras loss,
    ``model.compile(loss=Normal(0.3))``: the negative log-likelihood of each observation, averaged by Keras over the
    batch.

    Parameters
    ----------
    scale : float, default=1.0
        Standard deviation (not variance) of the noise, in the units of y.

    Raises
    ------
    ValueError
        If `scale` is not a positive finite number.
    """

    def __init__(self, scale: float = 1.0, *, reduction: str = "auto", name: str = "normal_nll") -> None:
        super().__init__(reduction=reduction, name=name)
        self.scale = check_number(scale, "scale, a standard deviation,", strict=True)

    def distribution(self, f: Any) -> Any:
        """Distribution of y given f, batch shape (..., Q)."""
        f = tf.convert_to_tensor(f)
        return tfp.distributions.Normal(f, tf.cast(self.scale, f.dtype))

    def noise(self) -> NormalNoise:
        """Normal noise."""
        return NormalNoise()

    def best_scale(self, squared_errors: np.ndarray) -> np.ndarray:
        """The fixed scale."""
        return np.full_like(squared_errors, self.scale)

    def nll(self, y: Any, f: Any) -> tf.Tensor:
        r"""Negative log-likelihood of each observation, in nats, summed over targets.

        .. math:: \sum_q \tfrac12 ((y_q - f_q) / \mathrm{scale})^2 + \log \mathrm{scale} + \tfrac12 \log 2\pi

        Parameters
        ----------
        y, f : Tensor (..., Q)
            Observations and network outputs.

        Returns
        -------
        Tensor (...)
        """
        f = tf.convert_to_tensor(f)
        residual = (tf.cast(y, f.dtype) - f) / self.scale
        constant = math.log(self.scale) + 0.5 * math.log(2.0 * math.pi)
        return tf.reduce_sum(0.5 * tf.square(residual) + constant, axis=-1)

    def mean(self, f: Any) -> tf.Tensor:
        """E[y | f], shape (..., Q)."""
        return tf.convert_to_tensor(f)

    def stddev(self, f: Any) -> tf.Tensor:
        """Standard deviation of y given f, shape (..., Q), in units of y."""
        return tf.fill(tf.shape(f), tf.cast(self.scale, tf.convert_to_tensor(f).dtype))

    def sample(self, f: Any, seed: Any) -> tf.Tensor:
        """Draw one y for each f, shape (..., Q); `seed` is a stateless seed (2,)."""
        f = tf.convert_to_tensor(f)
        return f + self.scale * standard_normal(tf.shape(f), seed, f.dtype)
