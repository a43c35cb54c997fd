"""Fixed priors."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from varbump.core.checks import check_number
from varbump.core.registry import register_builtin
from varbump.priors.base import Prior

__all__ = ["Laplace", "Normal", "ScaleMixtureNormal", "prior"]


@register_builtin("NormalPrior")
class Normal(Prior):
    r"""Independent, fixed normal prior: :math:`p(w) = \prod_i N(w_i; \mathrm{loc}, \mathrm{scale}^2)`.

    Parameters
    ----------
    scale : float, default=1.0
        Standard deviation (not variance) of every weight and bias.
    loc : float, default=0.0
        Mean of every weight and bias.
    fan_in : bool, default=False
        Whether to divide the scale of the kernel by the square root of the number of inputs.

    Raises
    ------
    ValueError
        If `scale` is not a positive finite number, or `loc` is not finite.
    """

    short_name = "normal"

    def __init__(self, scale: float = 1.0, *, loc: float = 0.0, fan_in: bool = False) -> None:
        super().__init__(scale=scale, fan_in=fan_in)
        self.loc = check_number(loc, "loc", minimum=-np.inf)

    def distribution(self, scale: tf.Tensor) -> tfd.Distribution:
        """Independent normals."""
        return tfd.MultivariateNormalDiag(tf.constant(self.loc, scale.dtype, scale.shape), scale)


@register_builtin("LaplacePrior")
class Laplace(Prior):
    r"""Independent Laplace prior, :math:`p(w) = \prod_i e^{-|w_i - \mathrm{loc}| / b} / 2b`; its KL is in closed form.

    Parameters
    ----------
    scale : float, default=1.0
        The b of the formula; the standard deviation is b times the square root of 2.
    loc : float, default=0.0
        Location of every weight and bias.
    fan_in : bool, default=False
        Whether to divide the scale of the kernel by the square root of the number of inputs.
    """

    short_name = "laplace"

    def __init__(self, scale: float = 1.0, *, loc: float = 0.0, fan_in: bool = False) -> None:
        super().__init__(scale=scale, fan_in=fan_in)
        self.loc = check_number(loc, "loc", minimum=-np.inf)

    def distribution(self, scale: tf.Tensor) -> tfd.Distribution:
        """Independent Laplace distributions."""
        return tfd.Laplace(tf.constant(self.loc, scale.dtype, scale.shape), scale)


@register_builtin("ScaleMixtureNormal")
class ScaleMixtureNormal(Prior):
    r"""Mixture of a wide and a narrow normal for each weight; its KL is estimated by Monte Carlo.

    .. math:: p(w) = \prod_i \left[ \pi N(w_i; 0, s_1^2) + (1 - \pi) N(w_i; 0, s_2^2) \right]

    Parameters
    ----------
    scale, narrow_scale : float, default=1.0, 0.05
        Standard deviations s_1 and s_2 of the two components.
    weight : float, default=0.5
        Weight pi of the wide component, in (0, 1).
    fan_in : bool, default=False
        Whether to divide both scales of the kernel by the square root of the number of inputs.

    References
    ----------
    Blundell, Cornebise, Kavukcuoglu and Wierstra (2015), "Weight Uncertainty in Neural Networks", eq. 7.
    """

    short_name = "scale_mixture"

    def __init__(
        self, scale: float = 1.0, *, narrow_scale: float = 0.05, weight: float = 0.5, fan_in: bool = False
    ) -> None:
        super().__init__(scale=scale, fan_in=fan_in)
        self.narrow_scale = check_number(narrow_scale, "narrow_scale, a standard deviation,", strict=True)
        self.weight = check_number(weight, "weight", strict=True)
        if self.weight >= 1.0:
            raise ValueError(f"weight must lie between 0 and 1, got {weight!r}")

    def scales(self, factor: np.ndarray) -> np.ndarray:
        """Both scales of each weight, (n, 2)."""
        return factor[:, None] * [self.scale, self.narrow_scale]

    def distribution(self, scale: tf.Tensor) -> tfd.Distribution:
        """Independent mixtures of two normals, with scales (n, 2)."""
        logits = tf.constant(np.log([self.weight, 1.0 - self.weight]), scale.dtype)
        weights = tfd.Categorical(logits=tf.broadcast_to(logits, scale.shape))
        return tfd.MixtureSameFamily(weights, tfd.Normal(tf.zeros_like(scale), scale))


prior = Normal()
"""A default prior to start with: independent, fixed N(0, 1)."""
