"""What every prior factory is: a scale, with or without the fan-in of the layer in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from varbump.core.checks import check_number
from varbump.core.fan_in import count_inputs

__all__ = ["PriorFactory"]


class PriorFactory:
    """Configuration of a prior; subclasses say which.

    Parameters
    ----------
    scale : float, default=1.0
        Standard deviation (not variance) of every weight and bias, for a Laplace prior its scale.
    fan_in : bool, default=False
        Divide the scale of the kernel, not that of the bias, by the square root of the number of inputs.

    Raises
    ------
    ValueError
        If `scale` is not a positive finite number.
    """

    def __init__(self, *, scale: float = 1.0, fan_in: bool = False) -> None:
        self.scale = check_number(scale, "scale, a standard deviation,", strict=True)
        self.fan_in = bool(fan_in)

    def __call__(
        self,
        kernel_size: int,
        bias_size: int = 0,
        dtype: Any = None,
        *,
        num_inputs: int | None = None,
        posterior: Any = None,
    ) -> Any:
        """The prior over the ``kernel_size + bias_size`` weights of one layer, kernel first.

        Parameters
        ----------
        kernel_size, bias_size : int
            ``bias_size`` is 0 for a layer without bias.
        dtype : DType or str, default="float32"
        num_inputs : int, optional
            Fan-in of the layer; worked out from the sizes where it is not told.
        posterior : Posterior, optional
            The q(w) that the prior will be held against: scales that are learned are then taken at their optimum.
        """
        inputs = count_inputs(kernel_size, bias_size, num_inputs)
        factor = np.ones(kernel_size + bias_size)
        if self.fan_in:
            factor[:kernel_size] /= np.sqrt(inputs)
        return self._make(factor, (kernel_size, bias_size), int(inputs), tf.as_dtype(dtype or tf.float32), posterior)

    def _make(
        self, factor: np.ndarray, sizes: tuple[int, int], num_inputs: int, dtype: tf.DType, posterior: Any
    ) -> Any:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Arguments that make an equal object."""
        return {"scale": self.scale, "fan_in": self.fan_in}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> PriorFactory:
        """Make an object from what `get_config` returned."""
        return cls(**config)
