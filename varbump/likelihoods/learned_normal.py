"""Normal likelihood with a learned scale, the same everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from varbump.core.keras import keras
from varbump.core.random import standard_normal
from varbump.core.registry import register_builtin
from varbump.likelihoods.learned_scale import LearnedScaleLikelihood
from varbump.likelihoods.noise import NormalNoise
from varbump.likelihoods.normal_nll import normal_nll
from varbump.likelihoods.scales import LARGEST, LearnedScale

__all__ = ["LearnedNormal"]


@register_builtin("LearnedNormalLikelihood")
class LearnedNormal(LearnedScaleLikelihood):
    r"""Normal likelihood with a scale learned with the network, :math:`p(y | f) = N(y; f, \mathrm{scale}^2)`.

    :math:`\mathrm{scale} = \mathrm{min\_scale} + \mathrm{softplus}(raw)` with the weight `raw`, which belongs
    to this object and is trained by `varbump.fit`: a point estimate that maximises the ELBO. With plain Keras,
    ``model.compile(loss=LearnedNormal(0.3))``, it keeps its value, since Keras trains weights of layers only. Copies,
    pickles and configurations keep the current value.

    Parameters
    ----------
    scale : float or sequence (num_targets,), default=1.0
        Initial standard deviation (not variance) of the noise, in units of y.
    min_scale : float, default=1e-3
        Floor of the scale, in units of y; it bounds the likelihood if the network interpolates the data.
    num_targets : int, default=1
        Number of scales: Q for one per column of y, 1 for one shared by all.
    dtype : str, optional
        Type of the weight, "float32" or "float64"; Keras' default if omitted. It may differ from the network's.

    Raises
    ------
    ValueError
        If a scale is not a number from `min_scale` to 1e15, or their number is not that of the targets.
    """

    short_name = "normal"
    in_units_of_y = True

    def __init__(
        self,
        scale: Any = 1.0,
        *,
        min_scale: float = 1e-3,
        num_targets: int = 1,
        dtype: str | None = None,
        reduction: str = "auto",
        name: str = "learned_normal_nll",
    ) -> None:
        super().__init__(reduction=reduction, name=name)
        self.dtype = dtype or keras.backend.floatx()
        self._scale = LearnedScale(scale, min_scale, num_targets, self.dtype)

    @classmethod
    def for_table(cls, y: np.ndarray, resolution: float) -> LearnedNormal:
        """Start at the standard deviation of y, with the resolution of y as the floor."""
        return cls(max(1.0, resolution), min_scale=resolution, num_targets=y.shape[1])

    @property
    def scale(self) -> float | np.ndarray:
        """Current standard deviation of the noise, a float or an ndarray (Q,), in units of y."""
        return self._scale.value

    @property
    def min_scale(self) -> float:
        """Floor of the scale, in units of y."""
        return self._scale.floor.value

    def distribution(self, f: Any) -> Any:
        """Distribution of y given f, batch shape (..., Q)."""
        return tfp.distributions.Normal(tf.convert_to_tensor(f), self.stddev(f))

    def noise(self) -> NormalNoise:
        """Normal noise."""
        return NormalNoise()

    def best_scale(self, squared_errors: np.ndarray) -> np.ndarray:
        """Root of the mean squared error, of each target or of all, not below the floor."""
        mean = squared_errors if self.num_targets > 1 else np.mean(squared_errors)
        return np.clip(np.sqrt(mean), self._scale.floor.value, LARGEST)

    def assign_scale(self, scale: np.ndarray) -> None:
        """Set the scale, a number or (Q,)."""
        self._scale.assign(scale)

    def nll(self, y: Any, f: Any) -> tf.Tensor:
        r"""Negative log-likelihood of each observation, in nats, summed over targets.

        .. math:: \sum_q \tfrac12 ((y_q - f_q) / \mathrm{scale}_q)^2 + \log \mathrm{scale}_q + \tfrac12 \log 2\pi

        Parameters
        ----------
        y, f : Tensor (..., Q)
            Observations and network outputs.

        Returns
        -------
        Tensor (...)
        """
        f = tf.convert_to_tensor(f)
        residual = tf.cast(y, f.dtype) - f
        log_scale = tf.broadcast_to(self._scale.log(f.dtype), tf.shape(residual))
        return tf.reduce_sum(normal_nll(residual, log_scale), axis=-1)

    def mean(self, f: Any) -> tf.Tensor:
        """E[y | f], shape (..., Q)."""
        return tf.convert_to_tensor(f)

    def stddev(self, f: Any) -> tf.Tensor:
        """Standard deviation of y given f, shape (..., Q), in units of y."""
        f = tf.convert_to_tensor(f)
        return tf.broadcast_to(tf.exp(self._scale.log(f.dtype)), tf.shape(f))

    def sample(self, f: Any, seed: Any) -> tf.Tensor:
        """Draw one y for each f, shape (..., Q); `seed` is a stateless seed (2,)."""
        f = tf.convert_to_tensor(f)
        return f + self.stddev(f) * standard_normal(tf.shape(f), seed, f.dtype)
