"""Numbers of a configuration that depend on y, as arguments of compiled programs rather than parts of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

__all__ = ["Constant"]


class Constant:
    """Number, or one for each target, that is neither trained nor compiled into a program.

    Noise floors and offsets differ between data sets. As variables they are arguments of a compiled program, which can
    then be used for all data sets.

    Parameters
    ----------
    value : float or sequence (Q,)
    name : str
        Name of the variable.
    """

    def __init__(self, value: Any, name: str) -> None:
        # double precision, so that the value read back is the one given
        self.variable = tf.Variable(np.asarray(value, float), trainable=False, dtype=tf.float64, name=name)

    def read(self, dtype: Any) -> tf.Tensor:
        """Value () or (Q,) as a tensor, for formulas."""
        return tf.cast(self.variable, dtype)

    @property
    def value(self) -> Any:
        """Value for a configuration: a float or a list of floats."""
        return self.variable.numpy().tolist()
