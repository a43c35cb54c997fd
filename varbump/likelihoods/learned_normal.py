"""Normal noise whose scale is learned, the same everywhere."""

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
from varbump.likelihoods.scales import LearnedScale

__all__ = ["LearnedNormal"]


@register_builtin("LearnedNormalLikelihood")
class LearnedNormal(LearnedScaleLikelihood):
    r"""Normal noise of a scale that is learned with the network, :math:`p(y | f) = N(y; f, \mathrm{scale}^2)`.

    :math:`\mathrm{scale} = \mathrm{min\_scale} + \mathrm{softplus}(raw)` with the weight `raw`, which this object
    holds and `varbump.fit` trains: a point estimate, which maximises the ELBO. Under plain Keras,
    ``model.compile(loss=LearnedNormal(0.3))``, it keeps its value: Keras trains weights of layers only. Copies,
    pickles and configurations carry the present value.

    Parameters
    ----------
    scale : float or sequence (num_targets,), default=1.0
        Standard deviation (not variance) of the noise where learning starts, in the units of y.
    min_scale : float, default=1e-3
        Floor of the scale, which bounds the likelihood where a network passes through its data.
    num_targets : int, default=1
        Q learns one scale for each column of y; 1 shares one among all.
    dtype : str, optional
        Of the weight, "float32" or "float64"; Keras' default otherwise. It need not be that of the network.

    Raises
    ------
    ValueError
        If a scale is not a number from `min_scale` to 1e15, or there are not as many as targets.
    """

    short_name = "normal"

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
        """Learned from the sd of y on, with the resolution of y as the floor."""
        return cls(max(1.0, resolution), min_scale=resolution, num_targets=y.shape[1])

    @property
    def scale(self) -> float | np.ndarray:
        """Present standard deviation of the noise, a float or an ndarray (Q,), units of y."""
        return self._scale.value

    @property
    def min_scale(self) -> float:
        """Floor of the scale, units of y."""
        return self._scale.floor.value

    def distribution(self, f: Any) -> Any:
        """Distribution of y given f, batch shape (..., Q)."""
        return tfp.distributions.Normal(tf.convert_to_tensor(f), self.stddev(f))

    def noise(self) -> NormalNoise:
        """Normal."""
        return NormalNoise()

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
        """Standard deviation of y given f, shape (..., Q), units of y."""
        f = tf.convert_to_tensor(f)
        return tf.broadcast_to(tf.exp(self._scale.log(f.dtype)), tf.shape(f))

    def sample(self, f: Any, seed: Any) -> tf.Tensor:
        """One draw of y for each f, shape (..., Q); `seed` is a stateless seed (2,)."""
        f = tf.convert_to_tensor(f)
        return f + self.stddev(f) * standard_normal(tf.shape(f), seed, f.dtype)
