"""Likelihood with heavy tails and a learned scale."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from varbump.core.checks import check_number
from varbump.core.keras import keras
from varbump.core.random import standard_normal
from varbump.core.registry import register_builtin
from varbump.likelihoods.learned_scale import LearnedScaleLikelihood
from varbump.likelihoods.noise import StudentTNoise
from varbump.likelihoods.scales import LearnedScale

__all__ = ["StudentT"]

MAX_LEARNED_DF = 200.0
"""Largest learned degrees of freedom: beyond, the density is almost normal, and nothing is left to learn."""

RAW_DF = (-10.0, MAX_LEARNED_DF - 2.0)
"""Range of the weight behind learned degrees of freedom: they stay above 2, where the sd is finite."""


@register_builtin("StudentTLikelihood")
class StudentT(LearnedScaleLikelihood):
    r"""Student's t noise: y = f + scale * t, t with `df` degrees of freedom; outliers pull less than with a normal.

    The scale and, with `learn_df`, the degrees of freedom are weights of this object, trained by `varbump.fit` as point
    estimates, see `LearnedNormal`; with plain Keras they keep their values. Copies, pickles and configurations keep
    the current values.

    Parameters
    ----------
    scale : float or sequence (num_targets,), default=1.0
        Initial scale, in units of y. The standard deviation is scale sqrt(df / (df - 2)).
    df : float, default=4.0
        Degrees of freedom, above 2, so that the standard deviation is finite.
    learn_df : bool, default=False
        Whether to learn df = 2 + softplus(raw), at most 200 and initially `df`; one for all targets.
    min_scale : float, default=1e-3
        Floor of the scale.
    num_targets : int, default=1
        Number of scales: Q for one per column of y, 1 for one shared by all.
    dtype : str, optional
        Type of the weights, "float32" or "float64"; Keras' default if omitted. It may differ from the network's.

    Raises
    ------
    ValueError
        If `df` is not above 2 (nor, to be learned, at most 200), a scale is not a number from `min_scale` to 1e15,
        or their number is not that of the targets.

    References
    ----------
    Lange, Little and Taylor (1989), "Robust Statistical Modeling Using the t Distribution", section 2.
    """

    short_name = "student_t"
    in_units_of_y = True

    def __init__(
        self,
        scale: Any = 1.0,
        *,
        df: float = 4.0,
        learn_df: bool = False,
        min_scale: float = 1e-3,
        num_targets: int = 1,
        dtype: str | None = None,
        reduction: str = "auto",
        name: str = "student_t_nll",
    ) -> None:
        super().__init__(reduction=reduction, name=name)
        self.dtype, self.learn_df = dtype or keras.backend.floatx(), bool(learn_df)
        self._scale = LearnedScale(scale, min_scale, num_targets, self.dtype)
        self._df = check_number(df, "df, the degrees of freedom,", minimum=2.0, strict=True)
        if self.learn_df:
            if self._df > MAX_LEARNED_DF:
                raise ValueError(f"df must be at most {MAX_LEARNED_DF:g} where it is learned, got {df!r}")
            above = self._df - 2.0
            raw = np.clip(above + np.log(-np.expm1(-above)), *RAW_DF)  # the inverse of softplus
            self._raw_df = tf.Variable(raw, dtype=self.dtype, name="likelihood_raw_df")

    @classmethod
    def for_table(cls, y: np.ndarray, resolution: float) -> StudentT:
        """Start at the standard deviation of y, with the resolution of y as the floor."""
        return cls(max(1.0, resolution), min_scale=resolution, num_targets=y.shape[1])

    @property
    def scale(self) -> float | np.ndarray:
        """Current scale, a float or an ndarray (Q,), in units of y."""
        return self._scale.value

    @property
    def min_scale(self) -> float:
        """Floor of the scale, in units of y."""
        return self._scale.floor.value

    @property
    def df(self) -> float:
        """Current degrees of freedom."""
        if not self.learn_df:
            return self._df
        return float(2.0 + np.logaddexp(0.0, np.clip(self._raw_df.numpy().astype(float), *RAW_DF)))

    @property
    def learned(self) -> tuple[str, ...]:
        """Keys of the scale and, with `learn_df`, of the degrees of freedom."""
        return ("scale", "df") if self.learn_df else ("scale",)

    @property
    def variables(self) -> list[tf.Variable]:
        """The weights behind the scale, () or (Q,), and behind learned degrees of freedom, ()."""
        return [self._scale.variable, self._raw_df] if self.learn_df else [self._scale.variable]

    def distribution(self, f: Any) -> Any:
        """Distribution of y given f, batch shape (..., Q)."""
        f = tf.convert_to_tensor(f)
        scale = tf.broadcast_to(tf.exp(self._scale.log(f.dtype)), tf.shape(f))
        return tfp.distributions.StudentT(tf.cast(self._df64(), f.dtype), f, scale)

    def noise(self) -> StudentTNoise:
        """Student's t noise with the current degrees of freedom."""
        return StudentTNoise(self.df)

    def nll(self, y: Any, f: Any) -> tf.Tensor:
        r"""Negative log-likelihood of each observation, in nats, summed over targets.

        .. math:: \sum_q \tfrac{\nu + 1}{2} \log(1 + u_q^2) + \log \mathrm{scale}_q
                  + \log \Gamma(\tfrac{\nu}{2}) - \log \Gamma(\tfrac{\nu + 1}{2}) + \tfrac12 \log \nu \pi, \quad
                  u_q = \frac{y_q - f_q}{\mathrm{scale}_q \sqrt \nu}

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
        df = self._df64()
        log_scale = tf.broadcast_to(self._scale.log(f.dtype), tf.shape(residual))
        log_width = log_scale + tf.cast(0.5 * tf.math.log(df), f.dtype)  # of scale sqrt(df)
        # differences of log gammas in double precision: in float32 they lose 3e-5 nats at 200
        constant = tf.math.lgamma(0.5 * df) - tf.math.lgamma(0.5 * (df + 1.0)) + 0.5 * tf.math.log(math.pi * df)
        tails = tf.cast(0.5 * (df + 1.0), f.dtype) * _log1p_square(residual, log_width)
        return tf.reduce_sum(tails + log_scale + tf.cast(constant, f.dtype), axis=-1)

    def mean(self, f: Any) -> tf.Tensor:
        """E[y | f], shape (..., Q)."""
        return tf.convert_to_tensor(f)

    def stddev(self, f: Any) -> tf.Tensor:
        """Standard deviation of y given f, scale sqrt(df / (df - 2)), shape (..., Q), units of y."""
        f, df = tf.convert_to_tensor(f), self._df64()
        ratio = tf.cast(tf.sqrt(df / (df - 2.0)), f.dtype)
        return tf.broadcast_to(ratio * tf.exp(self._scale.log(f.dtype)), tf.shape(f))

    def sample(self, f: Any, seed: Any) -> tf.Tensor:
        r"""Draw one y for each f, shape (..., Q); `seed` is a stateless seed (2,).

        .. math:: t = z_1 \sqrt{(e^s - 1) / s}, \quad s = (z_1^2 + z_2^2) / \nu

        with standard normal z: the first coordinate of a bivariate t, whose radius is a function of a uniform. No
        rejection, so that it is the same function of the seed however it is compiled.

        References
        ----------
        Bailey (1994), "Polar Generation of Random Variates with the t-Distribution", eq. 3.
        """
        f = tf.convert_to_tensor(f)
        z = standard_normal(tf.concat([[2], tf.shape(f)], 0), seed, f.dtype)
        s = tf.reduce_sum(tf.square(z), 0) / tf.cast(self._df64(), f.dtype)
        return f + tf.exp(self._scale.log(f.dtype)) * z[0] * tf.sqrt(tf.math.expm1(s) / s)

    def _df64(self) -> tf.Tensor:
        if not self.learn_df:
            return tf.constant(self._df, tf.float64)
        return 2.0 + tf.math.softplus(tf.clip_by_value(tf.cast(self._raw_df, tf.float64), *RAW_DF))


def _log1p_square(residual: tf.Tensor, log_width: tf.Tensor) -> tf.Tensor:
    r""":math:`\log(1 + u^2)`, u = residual / width, elementwise, where neither u nor its square need fit the dtype.

    .. math:: \partial_{residual} = \frac{2 u}{(1 + u^2)\, \mathrm{width}}, \quad
              \partial_{\log width} = -\frac{2 u^2}{1 + u^2}

    u / (1 + u^2) is the same for u and 1 / u, so that only the one of them below 1 is ever squared.
    """

    @tf.custom_gradient
    def of(residual: tf.Tensor, log_width: tf.Tensor) -> tuple[tf.Tensor, Callable[..., tuple[tf.Tensor, tf.Tensor]]]:
        u = residual * tf.exp(-log_width)
        is_large = tf.abs(u) > 1.0
        small = tf.where(is_large, 1.0 / tf.where(is_large, u, 1.0), u)
        log_u = tf.math.log(tf.abs(tf.where(is_large, residual, 1.0))) - log_width
        value = tf.math.log1p(tf.square(small)) + tf.where(is_large, 2.0 * log_u, 0.0)

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            share = tf.where(is_large, tf.ones_like(u), tf.square(small)) / (1.0 + tf.square(small))
            by_residual = 2.0 * small / (1.0 + tf.square(small)) * tf.exp(-log_width)
            return upstream * by_residual, upstream * -2.0 * share

        return value, gradient

    return of(residual, log_width)
