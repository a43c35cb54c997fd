"""Posterior factories: the trainable family q(w) over the weights of one layer.

A factory is called with ``(kernel_size, bias_size, dtype)``, by our layers and by the stock
`tfp.layers.DenseVariational` alike, and returns a `Posterior`: the variables, and what the ELBO
needs of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from varbump import triangles
from varbump._keras import keras, register
from varbump.checks import check_number
from varbump.forward import host_seed

__all__ = ["FullCovarianceNormal", "MeanFieldNormal", "Posterior", "PosteriorFactory", "posterior"]


class _DrawsOnConversion:
    """Mixin: `tf.convert_to_tensor` gives one cached draw, which the stock TFP layer relies on."""

    _draw: tf.Tensor | None = None

    def as_tensor(self, dtype: Any = None, name: str | None = None, as_ref: bool = False) -> tf.Tensor:
        del name, as_ref
        if self._draw is None:
            self._draw = self.sample()  # type: ignore[attr-defined]
        return self._draw if dtype is None else tf.cast(self._draw, dtype)


class _NormalDiag(_DrawsOnConversion, tfd.MultivariateNormalDiag):
    pass


class _NormalTriL(_DrawsOnConversion, tfd.MultivariateNormalTriL):
    pass


tf.register_tensor_conversion_function(_DrawsOnConversion, _DrawsOnConversion.as_tensor)


class Posterior(keras.layers.Layer):
    """Variables of q(w) for the n weights of one layer: loc and, below the diagonal or not, the scale.

    A Keras layer, so that whichever layer holds it tracks and saves its variables. Calling it, with
    anything, gives the distribution.

    Parameters
    ----------
    loc : ndarray (n,)
        Means at the start.
    scale : float
        Standard deviation of every weight at the start.
    dtype : DType
        Type of the variables.
    """

    def __init__(self, loc: np.ndarray, scale: float, dtype: tf.DType, **kwargs: Any) -> None:
        super().__init__(dtype=dtype, **kwargs)
        self.num_weights = len(loc)
        self.loc = self._variable("loc", loc)
        self._raw_scale = self._variable("raw_scale", np.full(len(loc), np.log(np.expm1(scale))))
        self.built = True

    def _variable(self, name: str, start: np.ndarray) -> tf.Variable:
        return self.add_weight(name=name, shape=start.shape, initializer=keras.initializers.Constant(start))

    @property
    def diag(self) -> tf.Tensor:
        """Diagonal of the Cholesky factor, softplus(raw_scale), shape (n,)."""
        return tf.nn.softplus(self._raw_scale)

    @property
    def num_covariances(self) -> int:
        """How many of the trainable parameters stand for dependence between weights."""
        return 0

    def __call__(self, inputs: Any = None) -> tfd.Distribution:
        """Return q(w); `inputs` are taken, as in TFP, and not looked at."""
        raise NotImplementedError

    def transform(self, noise: tf.Tensor) -> tf.Tensor:
        """The draw w = loc + L noise, shape (n,), of standard normal noise (n,)."""
        raise NotImplementedError

    def weighted_variance(self, precision: tf.Tensor) -> tf.Tensor:
        """sum_i precision_i Var[w_i], a scalar, for precisions (n,)."""
        raise NotImplementedError

    def kl_to_normal(self, p: tfd.MultivariateNormalDiag) -> tf.Tensor:
        r"""KL(q || p) in nats to a diagonal normal p with means m and standard deviations s.

        .. math:: \tfrac12 \sum_i \left[ (\mathrm{Var}[w_i] + (\mathrm{loc}_i - m_i)^2) / s_i^2 - 1 + \log s_i^2 \right]
                  - \log \det L
        """
        s = p.stddev()
        precision = 1.0 / tf.square(s)
        fit = self.weighted_variance(precision) + tf.reduce_sum(precision * tf.square(self.loc - p.mean()))
        log_det = tf.reduce_sum(tf.math.log(self.diag))
        return 0.5 * (fit - float(self.num_weights)) + tf.reduce_sum(tf.math.log(s)) - log_det


class _MeanField(Posterior):
    def __call__(self, inputs: Any = None) -> _NormalDiag:
        return _NormalDiag(loc=tf.convert_to_tensor(self.loc), scale_diag=self.diag)

    def transform(self, noise: tf.Tensor) -> tf.Tensor:
        return self.loc + self.diag * noise

    def weighted_variance(self, precision: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(precision * tf.square(self.diag))


class _FullCovariance(Posterior):
    r"""Cholesky factor :math:`L = \operatorname{diag}(s) (I + U / \sqrt n)`, U strictly lower triangular.

    Optimisers such as Adam move every parameter by about the learning rate a step. Relative to s, and divided by
    :math:`\sqrt n`, the noise in the n(n-1)/2 entries of U adds up to no more than that in s; a Cholesky factor that
    is trained entry by entry drowns the posterior in it.
    """

    def __init__(self, loc: np.ndarray, scale: float, dtype: tf.DType, **kwargs: Any) -> None:
        super().__init__(loc, scale, dtype, **kwargs)
        self._rectangle = None

        self._unit = 1.0 / float(np.sqrt(self.num_weights))
        if self.num_covariances:
            self._rectangle = self._variable("triangle", np.zeros(triangles.rectangle_shape(self.num_weights)))

    @property
    def num_covariances(self) -> int:
        return self.num_weights * (self.num_weights - 1) // 2

    def __call__(self, inputs: Any = None) -> _NormalTriL:
        scale_tril = tf.linalg.diag(self.diag)
        if self._rectangle is not None:
            strict = triangles.to_dense(tf.convert_to_tensor(self._rectangle), self.num_weights)
            scale_tril += self._unit * self.diag[:, None] * strict
        return _NormalTriL(loc=tf.convert_to_tensor(self.loc), scale_tril=scale_tril)

    def transform(self, noise: tf.Tensor) -> tf.Tensor:
        if self._rectangle is not None:
            noise += self._unit * triangles.matvec(self._rectangle, noise)
        return self.loc + self.diag * noise

    def weighted_variance(self, precision: tf.Tensor) -> tf.Tensor:
        weights = precision * tf.square(self.diag)
        total = tf.reduce_sum(weights)
        if self._rectangle is None:
            return total
        return total + self._unit**2 * tf.reduce_sum(triangles.by_row(weights) * tf.square(self._rectangle))


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

    family: type[Posterior]

    def __init__(self, *, scale: float = 0.05, loc_scale: float = 1.0) -> None:
        self.scale = check_number(scale, "scale, a standard deviation,", strict=True)
        self.loc_scale = check_number(loc_scale, "loc_scale")

    def __call__(
        self, kernel_size: int, bias_size: int = 0, dtype: Any = None, *, seed: int | None = None
    ) -> Posterior:
        """The posterior over the ``kernel_size + bias_size`` weights of one layer, kernel first.

        Parameters
        ----------
        kernel_size, bias_size : int
            ``bias_size`` is 0 for a layer without bias.
        dtype : DType or str, default="float32"
            Type of the variables.
        seed : int, optional
            Seed of the means at the start; without it, TensorFlow's global seed decides.
        """
        size = kernel_size + bias_size
        self.check_size(size)
        fan_in = kernel_size / bias_size if bias_size else np.sqrt(kernel_size)  # the latter: a square kernel
        generator = np.random.default_rng(host_seed(seed))
        loc = generator.normal(scale=self.loc_scale / np.sqrt(max(fan_in, 1.0)), size=size)
        return self.family(loc, self.scale, tf.as_dtype(dtype or tf.float32))

    def check_size(self, size: int) -> None:
        """Raise a ValueError for a layer that is too large for the family."""

    def get_config(self) -> dict[str, Any]:
        """Arguments that make an equal object."""
        return {"scale": self.scale, "loc_scale": self.loc_scale}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> PosteriorFactory:
        """Make an object from what `get_config` returned."""
        return cls(**config)


@register("MeanFieldNormal")
class MeanFieldNormal(PosteriorFactory):
    r"""Independent normals, :math:`q(w) = \prod_i N(w_i; m_i, s_i^2)`: 2n parameters for n weights."""

    family = _MeanField


@register("FullCovarianceNormal")
class FullCovarianceNormal(PosteriorFactory):
    """Normal with full covariance, :math:`q(w) = N(w; m, L L^T)`: n + n(n+1)/2 parameters for n weights.

    Parameters
    ----------
    max_parameters : int, default=100,000,000
        A layer that would need more than this is refused before any memory is taken.

    Other parameters are those of `PosteriorFactory`.
    """

    family = _FullCovariance

    def __init__(self, *, scale: float = 0.05, loc_scale: float = 1.0, max_parameters: int = 100_000_000) -> None:
        super().__init__(scale=scale, loc_scale=loc_scale)
        self.max_parameters = int(max_parameters)

    def check_size(self, size: int) -> None:
        """Raise a ValueError where the layer would need more than `max_parameters`."""
        needed = size + size * (size + 1) // 2
        if needed > self.max_parameters:
            gibibytes = 4 * 4 * needed / 2**30  # float32; the parameter, its gradient and Adam's two moments
            raise ValueError(
                f"A full covariance over the {size:,} weights of one layer has {needed:,} parameters, about "
                f"{gibibytes:,.1f} GiB in training, more than max_parameters={self.max_parameters:,}. Use "
                f"varbump.posteriors.MeanFieldNormal() ({2 * size:,} parameters), fewer units, or raise max_parameters."
            )

    def get_config(self) -> dict[str, Any]:
        """Arguments that make an equal object."""
        return {**super().get_config(), "max_parameters": self.max_parameters}


posterior = FullCovarianceNormal()
"""The posterior that everyone starts with: a trainable normal with full covariance."""
