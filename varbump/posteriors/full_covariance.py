"""Normal posteriors with full covariance over the weights of a layer or of a whole network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from varbump.core.checks import check_count
from varbump.core.registry import register_builtin
from varbump.posteriors import triangles
from varbump.posteriors.factory import PosteriorFactory
from varbump.posteriors.normal import DrawsOnConversion, NormalPosterior, softplus_inverse

__all__ = ["FullCovarianceNormal", "JointNormal", "posterior"]


class _NormalTriL(DrawsOnConversion, tfd.MultivariateNormalTriL):
    pass


class _FullCovariance(NormalPosterior):
    r"""Cholesky factor :math:`L = \operatorname{diag}(s) (I + U / \sqrt n)`, U strictly lower triangular.

    Optimisers such as Adam move every parameter by about the learning rate per step. Relative to s, and divided by
    :math:`\sqrt n`, the noise in the n(n-1)/2 entries of U adds up to no more than the noise in s; if the entries of
    the Cholesky factor were trained directly, it would swamp the posterior.

    With preceding layers, these are the rows of the whole network's factor that belong to this layer: a block of
    covariances with the weights of those layers, then the triangle. Each layer has its own variables, its own
    configuration and its own share of the KL; the shares add up to the KL of the joint normal.
    """

    def __init__(
        self, loc: np.ndarray, scale: float, dtype: tf.DType, preceding: tuple[int, ...] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(loc, scale, dtype, **kwargs)
        self.preceding = preceding
        self._num_preceding = sum(preceding or ())
        self._unit = 1.0 / float(np.sqrt(self.num_weights + self._num_preceding))
        self._rectangle = self._block = None
        if self.num_weights > 1:
            self._rectangle = self.add_variable("triangle", np.zeros(triangles.rectangle_shape(self.num_weights)))
        if self._num_preceding:
            self._block = self.add_variable("block", np.zeros((self.num_weights, self._num_preceding)))

    @property
    def num_covariances(self) -> int:
        return self.num_weights * (self.num_weights - 1) // 2 + self.num_weights * self._num_preceding

    def distribution(self) -> _NormalTriL:
        scale_tril = tf.linalg.diag(self.diag)
        if self._rectangle is not None:
            strict = triangles.to_dense(tf.convert_to_tensor(self._rectangle), self.num_weights)
            scale_tril += self._unit * self.diag[:, None] * strict
        if self._block is not None:  # the marginal of this layer
            rows = tf.concat([self._unit * self.diag[:, None] * self._block, scale_tril], 1)
            scale_tril = tf.linalg.cholesky(tf.matmul(rows, rows, transpose_b=True))
        return _NormalTriL(loc=tf.convert_to_tensor(self.mean), scale_tril=scale_tril)

    def transform(self, noise: tf.Tensor) -> tf.Tensor:
        before, noise = noise[: self._num_preceding], noise[self._num_preceding :]
        total = noise
        if self._rectangle is not None:
            total += self._unit * triangles.matvec(self._rectangle, noise)
        if self._block is not None:
            total += self._unit * tf.linalg.matvec(self._block, before)
        return self.mean + self.diag * total

    def assign(self, loc: Any, covariance: Any) -> None:
        if self._block is not None:
            raise NotImplementedError("the covariance of a layer after others is only a part of that of the network")
        values = self.values_of(np.asarray(loc), np.linalg.cholesky(np.asarray(covariance)))
        for variable, value in zip(self.trainable_variables, values, strict=True):
            variable.assign(value)

    def values_of(self, loc: np.ndarray, rows: np.ndarray) -> list[np.ndarray]:
        """Values of the variables for a mean (n,) and this layer's rows of a Cholesky factor, (n, preceding + n)."""
        block, triangle = rows[:, : self._num_preceding], rows[:, self._num_preceding :]
        diag = np.diag(triangle)
        values = [loc, softplus_inverse(diag)]
        if self._rectangle is not None:
            values.append(triangles.fold(triangle / diag[:, None]) / self._unit)
        if self._block is not None:
            values.append(block / diag[:, None] / self._unit)
        return [np.asarray(value, self.loc.dtype.as_numpy_dtype) for value in values]

    def variances(self) -> tf.Tensor:
        relative = tf.ones([self.num_weights], self.diag.dtype)
        if self._rectangle is not None:
            ones = tf.ones([self.num_weights], self.diag.dtype)
            relative += self._unit**2 * triangles.matvec(tf.square(self._rectangle), ones)
        if self._block is not None:
            relative += self._unit**2 * tf.reduce_sum(tf.square(self._block), 1)
        return tf.square(self.diag) * relative

    def weighted_variance(self, precision: tf.Tensor) -> tf.Tensor:
        """Sum over the cells directly; sums by row, as in `variances`, are slow on a CPU."""
        weights = precision * tf.square(self.diag)
        total = tf.reduce_sum(weights)
        if self._rectangle is not None:
            squares = tf.square(self._rectangle)
            total += self._unit**2 * tf.reduce_sum(triangles.by_row(weights) * squares)
        if self._block is not None:
            total += self._unit**2 * tf.reduce_sum(weights[:, None] * tf.square(self._block))
        return total


@register_builtin("FullCovarianceNormal")
class FullCovarianceNormal(PosteriorFactory):
    """Normal with full covariance, :math:`q(w) = N(w; m, L L^T)`: n + n(n+1)/2 parameters for n weights.

    Parameters
    ----------
    max_parameters : int, default=100,000,000
        A layer that would need more parameters is refused before any memory is allocated.

    Other parameters are those of `PosteriorFactory`.
    """

    short_name, best_estimator = "full_covariance", "flipout"

    _whose = "the {size:,} weights of one layer"

    def __init__(self, *, scale: float = 0.05, loc_scale: float = 1.0, max_parameters: int = 100_000_000) -> None:
        super().__init__(scale=scale, loc_scale=loc_scale)
        self.max_parameters = int(max_parameters)

    def make(self, loc: np.ndarray, dtype: tf.DType) -> _FullCovariance:
        """The posterior of one layer."""
        return _FullCovariance(loc, self.scale, dtype)

    def check_size(self, size: int) -> None:
        """Raise a ValueError if the posterior would need more than `max_parameters`."""
        needed = size + size * (size + 1) // 2
        if needed > self.max_parameters:
            gibibytes = 4 * 4 * needed / 2**30  # float32; the parameter, its gradient and Adam's two moments
            raise ValueError(
                f"A full covariance over {self._whose.format(size=size)} has {needed:,} parameters, about "
                f"{gibibytes:,.1f} GiB in training, more than max_parameters={self.max_parameters:,}. Use "
                f"varbump.posteriors.MeanFieldNormal() ({2 * size:,} parameters), fewer units, or raise max_parameters."
            )

    def variable_shapes(self, num_weights: int) -> list[tuple[int, ...]]:
        """Shapes of means, scales and, for more than one weight, the triangle below the diagonal."""
        triangle = [triangles.rectangle_shape(num_weights)] if num_weights > 1 else []
        return [(num_weights,), (num_weights,), *triangle]


@register_builtin("JointNormal")
class JointNormal(FullCovarianceNormal):
    r"""One normal over the weights of ALL layers of a network: M + M(M+1)/2 parameters for M weights.

    The rows of the network's Cholesky factor are divided among the layers. A layer draws
    :math:`w_k = m_k + L_{k,1} z_1 + \dots + L_{k,k} z_k` from the noise of all layers up to its own. Its share of the
    KL is :math:`\operatorname{E}\,\mathrm{KL}(q(w_k | w_{<k}) || p(w_k))`; the shares add up to the KL of the network.
    `varbump.build_network` gives each layer its part.

    Parameters
    ----------
    preceding : sequence of int, default=()
        Numbers of weights of the layers before this one; `build_network` fills it in.

    Other parameters are those of `FullCovarianceNormal`; `max_parameters` bounds the whole network.
    """

    short_name, shares_noise = "joint", True

    _whose = "the {size:,} weights of the network so far"

    def __init__(
        self,
        *,
        scale: float = 0.05,
        loc_scale: float = 1.0,
        max_parameters: int = 100_000_000,
        preceding: Sequence[int] = (),
    ) -> None:
        super().__init__(scale=scale, loc_scale=loc_scale, max_parameters=max_parameters)
        self.preceding = tuple(check_count(size, "preceding") for size in preceding)

    def make(self, loc: np.ndarray, dtype: tf.DType) -> _FullCovariance:
        """The posterior of one layer."""
        return _FullCovariance(loc, self.scale, dtype, self.preceding)

    def start_seed(self, seed: int) -> Any:
        """Derive the seed from the layer's place: all layers have the seed of the noise that they share."""
        return (seed, len(self.preceding))

    def check_size(self, size: int) -> None:
        """Raise a ValueError if the layers so far would need more than `max_parameters`."""
        super().check_size(size + sum(self.preceding))

    def after(self, size: int) -> JointNormal:
        """Factory of the next layer, after one of `size` weights."""
        return type(self).from_config({**self.get_config(), "preceding": [*self.preceding, size]})

    def variable_shapes(self, num_weights: int) -> list[tuple[int, ...]]:
        """Shapes as for one layer, then that of the block of covariances with preceding layers."""
        block = [(num_weights, sum(self.preceding))] if self.preceding else []
        return [*super().variable_shapes(num_weights), *block]


posterior = FullCovarianceNormal()
"""A default posterior to start with: a trainable normal with full covariance."""
