"""Numbers of a configuration that depend on y, as arguments of compiled programs instead of parts of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

__all__ = ["Constant"]


class Constant:
    """A number, or one for each target, that is neither trained nor written into a program.

    Two data sets have different noise floors and offsets; held in a variable, these are data to a compiled program,
    which then serves both.

    Parameters
    ----------
    value : float or sequence (Q,)
    name : str
        Of the variable.
    """

    def __init__(self, value: Any, name: str) -> None:
        # double precision, so that what is read back is what was given
        self.variable = tf.Variable(np.asarray(value, float), trainable=False, dtype=tf.float64, name=name)

    def read(self, dtype: Any) -> tf.Tensor:
        """The value, () or (Q,), for a formula."""
        return tf.cast(self.variable, dtype)

    @property
    def value(self) -> Any:
        """The value for a configuration: a float or a list of them."""
        return self.variable.numpy().tolist()
