"""Prior factories: what is believed about the weights of a layer before any data."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from varbump._keras import register
from varbump.checks import check_number

__all__ = ["Normal", "prior"]


@register("NormalPrior")
class Normal:
    r"""Independent, fixed normal prior: :math:`p(w) = \prod_i N(w_i; 0, \mathrm{scale}^2)`.

    Parameters
    ----------
    scale : float, default=1.0
        Standard deviation (not variance) of every weight and bias.

    Raises
    ------
    ValueError
        If `scale` is not a positive finite number.
    """

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = check_number(scale, "scale, a standard deviation,", strict=True)

    def __call__(self, kernel_size: int, bias_size: int = 0, dtype: Any = None) -> FixedNormal:
        """The prior over the ``kernel_size + bias_size`` weights of one layer, kernel first."""
        return FixedNormal(kernel_size + bias_size, self.scale, tf.as_dtype(dtype or tf.float32))

    def get_config(self) -> dict[str, Any]:
        """Arguments that make an equal object."""
        return {"scale": self.scale}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Normal:
        """Make an object from what `get_config` returned."""
        return cls(**config)


class FixedNormal:
    """A prior without variables; calling it, with anything, gives the distribution."""

    def __init__(self, size: int, scale: float, dtype: tf.DType) -> None:
        self.size, self.scale, self.dtype = size, scale, dtype

    def __call__(self, inputs: Any = None) -> tfd.MultivariateNormalDiag:
        del inputs  # the convention of TFP's layers: a prior may, but need not, look at the inputs
        return tfd.MultivariateNormalDiag(
            loc=tf.zeros([self.size], self.dtype), scale_diag=tf.fill([self.size], tf.cast(self.scale, self.dtype))
        )


prior = Normal()
"""The prior that everyone starts with: independent N(0, 1), fixed."""
