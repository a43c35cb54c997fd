"""What every variational family is: variables, a draw as a function of noise, an entropy, and a KL."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from varbump.core.checks import check_number
from varbump.core.fan_in import count_inputs
from varbump.core.keras import keras
from varbump.core.random import host_seed
from varbump.forward.passes import value_of

__all__ = ["DrawsOnConversion", "Posterior", "PosteriorFactory", "softplus_inverse"]

Noise = Callable[[int, tf.DType], tf.Tensor]
"""Hands out so many standard normal numbers."""


class DrawsOnConversion:
    """Mixin: `tf.convert_to_tensor` gives one cached draw, which the stock TFP layer relies on."""

    _draw: tf.Tensor | None = None

    def as_tensor(self, dtype: Any = None, name: str | None = None, as_ref: bool = False) -> tf.Tensor:
        """The draw."""
        del name, as_ref
        if self._draw is None:
            self._draw = self.sample()  # type: ignore[attr-defined]
        return self._draw if dtype is None else tf.cast(self._draw, dtype)


tf.register_tensor_conversion_function(DrawsOnConversion, DrawsOnConversion.as_tensor)


class Posterior(keras.layers.Layer):
    """Variables of q(w) for the n weights of one layer: loc and, below the diagonal or not, the scale.

    A Keras layer, so that whichever layer holds it tracks and saves its variables. Calling it, with
    anything, gives the distribution.

    Parameters
    ----------
    loc : ndarray (n,)
        Means at the start.
    scale : float or ndarray (n,)
        Diagonal of the Cholesky factor at the start.
    dtype : DType
        Type of the variables.

    Attributes
    ----------
    loc : tf.Variable (n,)
        Means of the weights.
    num_noise : int
        Standard normal numbers that a draw takes, beside those of `preceding` layers.
    preceding : tuple of int or None
        Sizes of the layers on whose noise a draw depends too; None where a layer stands for itself.
    independent : bool
        Whether the weights are independent of each other.
    """

    preceding: tuple[int, ...] | None = None
    independent = False

    def __init__(self, loc: np.ndarray, scale: Any, dtype: tf.DType, **kwargs: Any) -> None:
        super().__init__(dtype=dtype, **kwargs)
        self.num_weights = self.num_noise = len(loc)
        self.loc = self._variable("loc", loc)
        self._raw_scale = self._variable("raw_scale", softplus_inverse(np.broadcast_to(scale, np.shape(loc))))
        self.built = True

    def _variable(self, name: str, start: np.ndarray) -> tf.Variable:
        return self.add_weight(name=name, shape=start.shape, initializer=keras.initializers.Constant(start))

    @property
    def mean(self) -> tf.Tensor:
        """E[w], shape (n,): the variable `loc`."""
        return value_of(self.loc)

    @property
    def diag(self) -> tf.Tensor:
        """Diagonal of the Cholesky factor, softplus(raw_scale), shape (n,)."""
        return tf.nn.softplus(value_of(self._raw_scale))

    @property
    def num_covariances(self) -> int:
        """How many of the trainable parameters stand for dependence between weights."""
        return 0

    def __call__(self, inputs: Any = None) -> tfd.Distribution:
        """Return q(w); `inputs` are taken, as in TFP, and not looked at."""
        raise NotImplementedError

    def transform(self, noise: tf.Tensor) -> tf.Tensor:
        """The draw w, shape (n,), of standard normal noise: that of preceding layers, then `num_noise` of its own."""
        raise NotImplementedError

    def affine(self, inputs: tf.Tensor, num_units: int, noise: Noise) -> tf.Tensor:
        """``inputs @ kernel + bias`` (B, num_units) with a draw of its own for each row; None where not possible.

        The local reparameterisation: what is drawn are the outputs, not the weights.

        References
        ----------
        Kingma, Salimans and Welling (2015), "Variational Dropout and the Local Reparameterization Trick", eq. 6.
        """
        raise NotImplementedError

    @property
    def has_affine(self) -> bool:
        """Whether the family can draw outputs row by row."""
        return type(self).affine is not Posterior.affine

    def variances(self) -> tf.Tensor:
        """Var[w_i], shape (n,)."""
        raise NotImplementedError

    def weighted_variance(self, precision: tf.Tensor) -> tf.Tensor:
        """sum_i precision_i Var[w_i], a scalar, for precisions (n,)."""
        return tf.reduce_sum(precision * self.variances())

    def log_det(self) -> tf.Tensor:
        """Logarithm of the determinant of the Cholesky factor of the covariance, given what precedes."""
        return tf.reduce_sum(tf.math.log(self.diag))

    def entropy(self) -> tf.Tensor:
        r"""Entropy in nats, :math:`\log\det L + \tfrac n2 (1 + \log 2\pi)`; given the preceding layers, if any.

        Entropies of layers that depend on each other add up by the chain rule.
        """
        return self.log_det() + 0.5 * self.num_weights * (1.0 + math.log(2.0 * math.pi))

    def log_prob(self, noise: tf.Tensor) -> tf.Tensor:
        r"""Log density of q, in nats, at the draw that `transform` makes of `noise`; given any preceding layers.

        With as many numbers of noise z as weights, :math:`-\tfrac12 z^T z - \tfrac n2 \log 2\pi - \log\det L`.
        """
        own = noise[-self.num_noise :]
        return -0.5 * (tf.reduce_sum(tf.square(own)) + self.num_weights * math.log(2.0 * math.pi)) - self.log_det()

    def assign(self, loc: Any, covariance: Any) -> None:
        """Set mean (n,) and covariance (n, n), as far as the family can hold it."""
        raise NotImplementedError(f"{type(self).__name__} cannot take a covariance as it is")

    def kl(self, p: tfd.Distribution) -> tf.Tensor | None:
        """KL(q || p) in nats, of a joint q the layer's share; None where p has no closed form."""
        if isinstance(p, tfd.MultivariateNormalDiag):
            return self.kl_to_normal(p)
        if isinstance(p, tfd.Independent) and isinstance(p.distribution, tfd.Laplace):
            return self.kl_to_laplace(p.distribution)
        return None

    def kl_to_normal(self, p: tfd.MultivariateNormalDiag) -> tf.Tensor:
        r"""KL(q || p) in nats to a diagonal normal p with means m and standard deviations s.

        .. math:: \tfrac12 \sum_i \left[ (\mathrm{Var}[w_i] + (\mathrm{loc}_i - m_i)^2) / s_i^2 - 1 + \log s_i^2 \right]
                  - \log \det L
        """
        s = p.stddev()
        precision = 1.0 / tf.square(s)
        fit = self.weighted_variance(precision) + tf.reduce_sum(precision * tf.square(self.mean - p.mean()))
        return 0.5 * (fit - float(self.num_weights)) + tf.reduce_sum(tf.math.log(s)) - self.log_det()

    def kl_to_laplace(self, p: tfd.Laplace) -> tf.Tensor:
        r"""KL(q || p) in nats to independent Laplace distributions with locations m and scales b.

        .. math:: \sum_i \left[ \log 2 b_i + \operatorname{E}|w_i - m_i| / b_i \right] - \mathrm{H}(q)

        with :math:`\operatorname{E}|d + s z| = s \sqrt{2/\pi}\, e^{-d^2 / 2 s^2} + d \operatorname{erf}(d / s \sqrt 2)`
        for standard normal z.
        """
        variance, d = self.variances(), self.mean - p.loc
        s = tf.sqrt(variance)
        expected = s * math.sqrt(2 / math.pi) * tf.exp(-0.5 * tf.square(d / s)) + d * tf.math.erf(d / s / math.sqrt(2))
        return tf.reduce_sum(tf.math.log(2.0 * p.scale) + expected / p.scale) - self.entropy()


def softplus_inverse(value: np.ndarray) -> np.ndarray:
    """log(exp(value) - 1) without overflow, for positive values."""
    return value + np.log(-np.expm1(-value))


class PosteriorFactory:
    """Configuration of a family; subclasses name it.

    Parameters
    ----------
    scale : float, default=0.05
        Standard deviation of every weight at the start. The 0.69 at which a stock
        `MultivariateNormalTriL` starts compounds over layers until the loss overflows.
    loc_scale : float, default=1.0
        The means start as independent normal draws with standard deviation ``loc_scale / sqrt(fan_in)``.

    Raises
    ------
    ValueError
        If `scale` is not positive and finite, or `loc_scale` is negative or not finite.
    """

    def __init__(self, *, scale: float = 0.05, loc_scale: float = 1.0) -> None:
        self.scale = check_number(scale, "scale, a standard deviation,", strict=True)
        self.loc_scale = check_number(loc_scale, "loc_scale")

    def __call__(
        self,
        kernel_size: int,
        bias_size: int = 0,
        dtype: Any = None,
        *,
        num_inputs: int | None = None,
        seed: int | None = None,
    ) -> Posterior:
        """The posterior over the ``kernel_size + bias_size`` weights of one layer, kernel first.

        Parameters
        ----------
        kernel_size, bias_size : int
            ``bias_size`` is 0 for a layer without bias.
        dtype : DType or str, default="float32"
            Type of the variables.
        num_inputs : int, optional
            Fan-in of the layer; worked out from the sizes where it is not told.
        seed : int, optional
            Seed of the means at the start; without it, TensorFlow's global seed decides.
        """
        size = kernel_size + bias_size
        self.check_size(size)
        scale = self.loc_scale / np.sqrt(count_inputs(kernel_size, bias_size, num_inputs))
        loc = np.random.default_rng(self._seed(host_seed(seed))).normal(scale=scale, size=size)
        return self._make(loc, tf.as_dtype(dtype or tf.float32))

    def _seed(self, seed: int) -> Any:
        """Seed of the means of this layer."""
        return seed

    def _make(self, loc: np.ndarray, dtype: tf.DType) -> Posterior:
        raise NotImplementedError

    def check_size(self, size: int) -> None:
        """Raise a ValueError for a layer that is too large for the family."""

    def after(self, size: int) -> PosteriorFactory:
        """The factory of the next layer, after one of `size` weights; itself where layers are independent."""
        del size
        return self

    def get_config(self) -> dict[str, Any]:
        """Arguments that make an equal object."""
        return {"scale": self.scale, "loc_scale": self.loc_scale}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> PosteriorFactory:
        """Make an object from what `get_config` returned."""
        return cls(**config)
