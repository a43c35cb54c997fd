"""Priors that stay as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from varbump.core.checks import check_number
from varbump.core.registry import register_builtin
from varbump.priors.base import PriorFactory

__all__ = ["FixedPrior", "Laplace", "Normal", "ScaleMixtureNormal", "prior"]


class FixedPrior:
    """A prior without variables; calling it, with anything, gives the distribution.

    Parameters
    ----------
    make : type of distribution
    arguments : dict of str to ndarray
        Its parameters.
    dtype : DType
    """

    def __init__(self, make: Any, arguments: dict[str, np.ndarray], dtype: tf.DType) -> None:
        self._make, self._arguments, self._dtype = make, arguments, dtype

    def __call__(self, inputs: Any = None) -> tfd.Distribution:
        """The distribution over the weights of the layer."""
        del inputs  # the convention of TFP's layers: a prior may, but need not, look at the inputs
        return self._make(**{name: tf.constant(value, self._dtype) for name, value in self._arguments.items()})


@register_builtin("NormalPrior")
class Normal(PriorFactory):
    r"""Independent, fixed normal prior: :math:`p(w) = \prod_i N(w_i; \mathrm{loc}, \mathrm{scale}^2)`.

    Parameters
    ----------
    scale : float, default=1.0
        Standard deviation (not variance) of every weight and bias.
    loc : float, default=0.0
        Their mean.
    fan_in : bool, default=False
        Divide the scale of the kernel by the square root of the number of inputs.

    Raises
    ------
    ValueError
        If `scale` is not a positive finite number, or `loc` is not finite.
    """

    def __init__(self, scale: float = 1.0, *, loc: float = 0.0, fan_in: bool = False) -> None:
        super().__init__(scale=scale, fan_in=fan_in)
        self.loc = check_number(loc, "loc", minimum=-np.inf)

    def _make(
        self, factor: np.ndarray, sizes: tuple[int, int], num_inputs: int, dtype: tf.DType, posterior: Any
    ) -> FixedPrior:
        arguments = {"loc": np.full(len(factor), self.loc), "scale_diag": self.scale * factor}
        return FixedPrior(tfd.MultivariateNormalDiag, arguments, dtype)

    def get_config(self) -> dict[str, Any]:
        """Arguments that make an equal object."""
        return {**super().get_config(), "loc": self.loc}


@register_builtin("LaplacePrior")
class Laplace(PriorFactory):
    r"""Independent Laplace prior, :math:`p(w) = \prod_i e^{-|w_i - \mathrm{loc}| / b} / 2b`; its KL is in closed form.

    Parameters
    ----------
    scale : float, default=1.0
        The b of the formula; the standard deviation is b times the square root of 2.
    loc : float, default=0.0
    fan_in : bool, default=False
        Divide the scale of the kernel by the square root of the number of inputs.
    """

    def __init__(self, scale: float = 1.0, *, loc: float = 0.0, fan_in: bool = False) -> None:
        super().__init__(scale=scale, fan_in=fan_in)
        self.loc = check_number(loc, "loc", minimum=-np.inf)

    def _make(
        self, factor: np.ndarray, sizes: tuple[int, int], num_inputs: int, dtype: tf.DType, posterior: Any
    ) -> FixedPrior:
        return FixedPrior(_laplace, {"loc": np.full(len(factor), self.loc), "scale": self.scale * factor}, dtype)

    def get_config(self) -> dict[str, Any]:
        """Arguments that make an equal object."""
        return {**super().get_config(), "loc": self.loc}


def _laplace(loc: tf.Tensor, scale: tf.Tensor) -> tfd.Distribution:
    return tfd.Independent(tfd.Laplace(loc, scale), reinterpreted_batch_ndims=1)


@register_builtin("ScaleMixtureNormal")
class ScaleMixtureNormal(PriorFactory):
    r"""Mixture of a wide and a narrow normal for each weight; its KL is estimated from the draw.

    .. math:: p(w) = \prod_i \left[ \pi N(w_i; 0, s_1^2) + (1 - \pi) N(w_i; 0, s_2^2) \right]

    Parameters
    ----------
    scale, narrow_scale : float, default=1.0, 0.05
        Standard deviations s_1 and s_2 of the two.
    weight : float, default=0.5
        The pi of the formula, in (0, 1).
    fan_in : bool, default=False
        Divide both scales of the kernel by the square root of the number of inputs.

    References
    ----------
    Blundell, Cornebise, Kavukcuoglu and Wierstra (2015), "Weight Uncertainty in Neural Networks", eq. 7.
    """

    def __init__(
        self, scale: float = 1.0, *, narrow_scale: float = 0.05, weight: float = 0.5, fan_in: bool = False
    ) -> None:
        super().__init__(scale=scale, fan_in=fan_in)
        self.narrow_scale = check_number(narrow_scale, "narrow_scale, a standard deviation,", strict=True)
        self.weight = check_number(weight, "weight", strict=True)
        if self.weight >= 1.0:
            raise ValueError(f"weight must lie between 0 and 1, got {weight!r}")

    def _make(
        self, factor: np.ndarray, sizes: tuple[int, int], num_inputs: int, dtype: tf.DType, posterior: Any
    ) -> FixedPrior:
        logits = np.log([self.weight, 1.0 - self.weight])
        scales = factor[:, None] * [self.scale, self.narrow_scale]
        return FixedPrior(_scale_mixture, {"logits": logits, "scales": scales}, dtype)

    def get_config(self) -> dict[str, Any]:
        """Arguments that make an equal object."""
        return {**super().get_config(), "narrow_scale": self.narrow_scale, "weight": self.weight}


def _scale_mixture(logits: tf.Tensor, scales: tf.Tensor) -> tfd.Distribution:
    components = tfd.Normal(tf.zeros_like(scales), scales)
    mixture = tfd.MixtureSameFamily(tfd.Categorical(logits=tf.broadcast_to(logits, scales.shape)), components)
    return tfd.Independent(mixture, reinterpreted_batch_ndims=1)


prior = Normal()
"""The prior that everyone starts with: independent N(0, 1), fixed."""
