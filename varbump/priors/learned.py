"""Priors whose scales are learned from the data (empirical Bayes)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from varbump.core.checks import check_count
from varbump.core.keras import Layer, keras
from varbump.core.registry import register_builtin
from varbump.priors.base import Prior, WeightsOfLayer

__all__ = ["ARDNormal", "TrainableNormal"]

SMALLEST_VARIANCE = 1e-8
"""Floor of a learned variance: the scale of a group that the data do not need would shrink to 0."""


@register_builtin("TrainableNormal")
class TrainableNormal(Prior):
    r"""Normal prior with one learned scale per layer (empirical Bayes).

    .. math:: p(w) = \prod_i N(w_i; 0, c_i^2 t^2), \quad
              t^2 = \operatorname{mean}_i \operatorname{E}_q[w_i^2] / c_i^2

    Inside `varbump.layers.DenseVariational`, t takes the optimal value above, in closed form, at every step: there is
    nothing to train, and t follows q without delay. In other layers, t is a trainable variable. c is 1, or
    :math:`1/\sqrt D` for the kernel with `fan_in`.

    Parameters
    ----------
    scale : float, default=1.0
        Initial value of t, if it is a variable; the median of its half-Cauchy distribution where t is sampled, see
        `varbump.sample_posterior`.
    fan_in : bool, default=False

    References
    ----------
    Graves (2011), "Practical Variational Inference for Neural Networks", eq. 18.
    """

    short_name = "trainable"

    def make(self, weights: WeightsOfLayer, posterior: Any) -> LearnedScales | OptimalScales:
        """Make scales that follow q, or trainable scales if `posterior` is None."""
        blocks = self.blocks(weights.kernel_size, weights.bias_size, weights.num_inputs)
        factor = weights.factor.astype(weights.dtype.as_numpy_dtype)
        groups = Groups(blocks, factor, self.scale, self.inputs_of_groups())
        return LearnedScales(groups) if posterior is None else OptimalScales(groups, posterior)

    def blocks(self, kernel_size: int, bias_size: int, num_inputs: int) -> list[tuple[int, int]]:
        """Numbers and sizes of the groups of weights that share a scale, in the order of the weights."""
        del num_inputs
        return [(1, kernel_size + bias_size)]

    def inputs_of_groups(self) -> Sequence[int] | None:
        """Sizes of groups of inputs that share a scale, for `blocks` that have them."""
        return None


@register_builtin("ARDNormal")
class ARDNormal(TrainableNormal):
    r"""Normal prior with a learned scale for each input of each layer (automatic relevance determination).

    Like `TrainableNormal`, but with one scale for each row of the kernel and one for the bias:
    :math:`t_d^2 = \operatorname{mean}_u \operatorname{E}_q[w_{du}^2]`. An input that the data do not need gets a scale
    near 0. After training, the scales of the first layer are the relevance of each feature (for standardised inputs),
    which `varbump.parameter_report` shows.

    Parameters
    ----------
    scale : float, default=1.0
        Initial value of the scales, if they are variables; the median of their distributions where they are sampled.
    fan_in : bool, default=False
    groups : sequence of int, optional
        Sizes of consecutive groups of inputs that share a scale, such as the indicators of the levels of one category;
        by default each input has its own. In a network of `varbump.build_network` this is for the first layer.

    Raises
    ------
    ValueError
        If `groups` are not positive integers, or do not add up to the number of inputs.

    References
    ----------
    MacKay (1994), "Bayesian Nonlinear Modeling for the Prediction Competition"; Neal (1996), section 1.2.3.
    """

    short_name = "ard"

    def __init__(self, *, scale: float = 1.0, fan_in: bool = False, groups: Sequence[int] | None = None) -> None:
        super().__init__(scale=scale, fan_in=fan_in)
        self.groups = None if groups is None else [check_count(size, "groups") for size in groups]

    def after(self) -> ARDNormal:
        """Prior of the layers behind the first, whose inputs are in no groups."""
        return self if self.groups is None else self.from_config({**self.get_config(), "groups": None})

    def tied(self, sizes: Sequence[int]) -> ARDNormal:
        """Prior with one scale for each group of inputs of the first layer, unless there are groups already."""
        if self.groups is not None or all(size == 1 for size in sizes):
            return self
        return self.from_config({**self.get_config(), "groups": list(sizes)})

    def blocks(self, kernel_size: int, bias_size: int, num_inputs: int) -> list[tuple[int, int]]:
        """Groups: one for each row of the kernel, or each group of rows, and one for the bias."""
        rows = num_inputs if kernel_size % num_inputs == 0 else 1  # a fan-in that was guessed may not divide it
        units = kernel_size // rows
        if self.groups is not None and sum(self.groups) != rows:
            raise ValueError(f"groups must add up to the {rows:,} inputs of the layer, got {sum(self.groups):,}")
        sizes = [1] * rows if self.groups is None else self.groups
        runs = [(len(list(run)), size * units) for size, run in groupby(sizes)]
        return [*runs, *([(1, bias_size)] if bias_size else [])]

    def inputs_of_groups(self) -> Sequence[int] | None:
        """Sizes of the groups of inputs, if they are not all 1."""
        return self.groups


class Groups:
    """Consecutive groups of weights that share a scale, the fixed factor of each weight, and the usual scale."""

    def __init__(
        self, blocks: list[tuple[int, int]], factor: np.ndarray, scale: float, inputs: Sequence[int] | None = None
    ) -> None:
        self.blocks, self.factor, self.scale, self._inputs = blocks, factor, scale, inputs
        self.count = sum(count for count, _ in blocks)

    def means(self, moments: tf.Tensor) -> tf.Tensor:
        """Mean over each group (G,) of second moments (n,), in units of the squared factors."""
        parts = tf.split(moments / self.factor**2, [count * size for count, size in self.blocks])
        means = [tf.reduce_mean(tf.reshape(p, block), 1) for p, block in zip(parts, self.blocks, strict=True)]
        return tf.concat(means, 0)

    @property
    def of_weights(self) -> np.ndarray:
        """Group of each weight (n,)."""
        sizes = [size for count, size in self.blocks for _ in range(count)]
        return np.repeat(np.arange(self.count), sizes)

    def spread(self, values: tf.Tensor) -> tf.Tensor:
        """For each weight (n,) the value of its group (G,)."""
        parts = tf.split(values, [count for count, _ in self.blocks])
        return tf.concat([tf.repeat(p, size) for p, (_, size) in zip(parts, self.blocks, strict=True)], 0)

    def normal(self, scales: tf.Tensor) -> tfd.MultivariateNormalDiag:
        """Normal prior with these scales (G,)."""
        scale = self.spread(scales) * self.factor
        return tfd.MultivariateNormalDiag(loc=tf.zeros_like(scale), scale_diag=scale)

    def log_half_cauchy(self, log_scales: tf.Tensor) -> tf.Tensor:
        r"""Log density of the log scales (G,), nats, for scales with half-Cauchy distributions of median A = `scale`.

        .. math:: \sum_g \log \frac{2 t_g}{\pi A (1 + t_g^2 / A^2)}
        """
        log_ratio = log_scales - np.log(self.scale).astype(self.factor.dtype)
        return tf.reduce_sum(np.log(2.0 / np.pi) + log_ratio - tf.math.softplus(2.0 * log_ratio))

    def by_input(self, scales: Any) -> np.ndarray | None:
        """Scale of each input (D,), where there is one for each."""
        if self._inputs is not None:
            return np.repeat(np.asarray(scales)[: len(self._inputs)], self._inputs)
        count, _ = self.blocks[0]
        return np.asarray(scales)[:count] if len(self.blocks) > 1 or count > 1 else None


class NormalOfGroups:
    """Abstract normal prior with a scale for each group of weights: `groups` and `scales` (G,)."""

    has_scales: ClassVar[bool] = True
    groups: Groups

    @property
    def scales(self) -> tf.Tensor:
        """Learned scale of each group (G,)."""
        raise NotImplementedError

    @property
    def medians(self) -> np.ndarray:
        """Median of the distribution of each scale (G,) where they are sampled."""
        return np.full(self.groups.count, self.groups.scale)

    @property
    def relevance(self) -> np.ndarray | None:
        """Scale of each input (D,), where there is one for each."""
        return self.groups.by_input(self.scales)

    def __call__(self, inputs: Any = None) -> tfd.MultivariateNormalDiag:
        return self.groups.normal(self.scales)


class OptimalScales(NormalOfGroups):
    """Normal prior whose scales always minimise KL(q || p).

    At the optimum the derivative of the KL with respect to the scales is zero, so no gradient is taken through them.
    """

    follows_posterior: ClassVar[bool] = True

    def __init__(self, groups: Groups, posterior: Any) -> None:
        self.groups, self._posterior = groups, posterior

    @property
    def scales(self) -> tf.Tensor:
        """Learned scale of each group (G,)."""
        moments = self._posterior.variances() + tf.square(self._posterior.mean)
        return tf.stop_gradient(tf.sqrt(self.groups.means(moments) + SMALLEST_VARIANCE))


class LearnedScales(NormalOfGroups, Layer):
    """Normal prior with trainable scales; a Keras layer, so that the layer that holds it tracks and saves them."""

    def __init__(self, groups: Groups) -> None:
        super().__init__(dtype=groups.factor.dtype.name)
        self.groups = groups
        start = keras.initializers.Constant(np.log(groups.scale))
        self._log_scales = self.add_weight(name="log_scales", shape=(groups.count,), initializer=start)
        self.built = True

    @property
    def scales(self) -> tf.Tensor:
        """Learned scale of each group (G,)."""
        return tf.exp(self._log_scales)
