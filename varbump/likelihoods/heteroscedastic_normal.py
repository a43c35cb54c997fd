"""Normal likelihood whose scale is predicted by the network."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from varbump.core.checks import check_number
from varbump.core.random import standard_normal
from varbump.core.registry import register_builtin
from varbump.likelihoods.base import Likelihood
from varbump.likelihoods.constants import Constant
from varbump.likelihoods.noise import NormalNoise
from varbump.likelihoods.normal_nll import normal_nll
from varbump.likelihoods.scales import AT_FLOOR, check_min_scale, log_scale

__all__ = ["HeteroscedasticNormal"]


@register_builtin("HeteroscedasticNormalLikelihood")
class HeteroscedasticNormal(Likelihood):
    r"""Normal likelihood whose scale depends on x: the second half of the network's outputs.

    .. math:: p(y | f) = N(y; \mathrm{loc}, \mathrm{scale}^2), \quad
              \mathrm{scale} = \mathrm{min\_scale} + \mathrm{softplus}(raw), \quad f = (\mathrm{loc}, raw)

    The network needs 2 Q outputs, the Q locations first: ``build_network(likelihood=HeteroscedasticNormal())``. Because
    of the floor, the loss of finite input is never nan. Rows that are fitted badly may get a large scale, and with it
    a small gradient, and so remain fitted badly; the options `beta` and `faithful` weight the gradient differently.
    Neither changes the VALUE of `nll`, so histories, early stopping and comparisons still refer to the ELBO.

    Parameters
    ----------
    min_scale : float, default=1e-3
        Floor of the scale, in units of y; choose about 1e-3 of the standard deviation of y.
    beta : float, default=0.0
        Exponent in [0, 1]: the gradient of each target is weighted by scale^(2 beta), which is treated as constant.
        0 is the likelihood, 1 fits the location as with a constant scale, and 0.5 is recommended by the reference.
    faithful : bool, default=False
        Whether to fit the location as with a scale of 1, and the scale given the location: the gradient of the scale
        does not reach the layers below the last one, see `num_detached` of `varbump.layers.DenseVariational`, which
        `build_network(likelihood=...)` sets. Standardise y. The bands of the function are those for noise of standard
        deviation 1, which are too wide if the noise is smaller.

    Raises
    ------
    ValueError
        If `min_scale` or `beta` is out of range, or `beta` and `faithful` are both given.

    References
    ----------
    Seitzer, Tavakoli, Antic and Martius (2022), "On the Pitfalls of Heteroscedastic Uncertainty Estimation with
    Probabilistic Neural Networks", eq. 5 (beta). Stirn, Wessels, Schertzer, Pereira, Sanjana and Knowles (2023),
    "Faithful Heteroscedastic Regression with Neural Networks", section 3 (faithful).
    """

    short_name, scale_varies, constant_keys = "heteroscedastic", True, ("min_scale",)

    def __init__(
        self,
        min_scale: float = 1e-3,
        *,
        beta: float = 0.0,
        faithful: bool = False,
        reduction: str = "auto",
        name: str = "heteroscedastic_normal_nll",
    ) -> None:
        super().__init__(reduction=reduction, name=name)
        self._floor = Constant(check_min_scale(min_scale), "likelihood_min_scale")
        self.beta, self.faithful = check_number(beta, "beta"), bool(faithful)
        if self.beta > 1.0:
            raise ValueError(f"beta must lie between 0 and 1, got {beta!r}")
        if self.beta and self.faithful:
            raise ValueError("beta and faithful exclude each other: each says how the location's gradient is weighted")

    @classmethod
    def for_table(cls, y: np.ndarray, resolution: float) -> HeteroscedasticNormal:
        """Use the resolution of y as the floor of the scale."""
        return cls(resolution)

    @property
    def min_scale(self) -> float:
        """Floor of the scale, in units of y."""
        return self._floor.value

    @property
    def constants(self) -> list[tf.Variable]:
        """The floor of the scale."""
        return [self._floor.variable]

    def num_detached(self, num_targets: int) -> int:
        """With `faithful`, the raw scales."""
        return num_targets if self.faithful else 0

    def share_at_floor(self, f: Any) -> float:
        """Share of the observations whose predicted scale is held by its floor."""
        return float(np.mean(self.stddev(f).numpy() <= AT_FLOOR * self.min_scale))

    def num_outputs(self, num_targets: int) -> int:
        """Number of network outputs: a location and a raw scale for each column of y."""
        return 2 * num_targets

    def distribution(self, f: Any) -> Any:
        """Distribution of y given f, batch shape (..., Q)."""
        return tfp.distributions.Normal(self.mean(f), self.stddev(f))

    def noise(self) -> NormalNoise:
        """Normal noise."""
        return NormalNoise()

    def nll(self, y: Any, f: Any) -> tf.Tensor:
        r"""Negative log-likelihood of each observation, in nats, summed over targets.

        .. math:: \sum_q \tfrac12 ((y_q - \mathrm{loc}_q) / \mathrm{scale}_q)^2 + \log \mathrm{scale}_q
                  + \tfrac12 \log 2\pi

        Parameters
        ----------
        y : Tensor (..., Q)
            Observations.
        f : Tensor (..., 2 Q)
            Network outputs: locations, then raw scales.

        Returns
        -------
        Tensor (...)
        """
        loc, raw = self._split(f)
        y = tf.cast(y, loc.dtype)
        if y.shape[-1] != loc.shape[-1]:
            raise ValueError(
                f"y has {y.shape[-1]} columns, which need twice as many outputs; f has {2 * loc.shape[-1]}"
            )
        nll = normal_nll(y - loc, self._log_scale(raw), beta=self.beta, faithful=self.faithful)
        return tf.reduce_sum(nll, axis=-1)

    def mean(self, f: Any) -> tf.Tensor:
        """E[y | f], shape (..., Q): the first half of f."""
        return self._split(f)[0]

    def stddev(self, f: Any) -> tf.Tensor:
        """Standard deviation of y given f, shape (..., Q), in units of y."""
        return tf.exp(self._log_scale(self._split(f)[1]))

    def sample(self, f: Any, seed: Any) -> tf.Tensor:
        """Draw one y for each f, shape (..., Q); `seed` is a stateless seed (2,)."""
        loc = self.mean(f)
        return loc + self.stddev(f) * standard_normal(tf.shape(loc), seed, loc.dtype)

    def _log_scale(self, raw: tf.Tensor) -> tf.Tensor:
        return log_scale(raw, self._floor.read(raw.dtype))

    @staticmethod
    def _split(f: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Locations and raw scales, (..., Q) each."""
        f = tf.convert_to_tensor(f)
        num_outputs = f.shape[-1]
        if num_outputs is None or num_outputs % 2:
            raise ValueError(
                f"HeteroscedasticNormal needs two network outputs for each column of y, a location and a scale, got "
                f"{num_outputs}; build the network with build_network(likelihood=...)"
            )
        return f[..., : num_outputs // 2], f[..., num_outputs // 2 :]
