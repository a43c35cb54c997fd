r"""From network outputs to positive numbers, :math:`\mu = \exp(\mathrm{offset} + f)`."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from varbump.likelihoods.base import Likelihood
from varbump.likelihoods.constants import Constant

__all__ = ["LogLink", "LogLinkLikelihood"]

LARGEST = 30.0
"""Largest abs(f): a factor of 1e13 up or down. Beyond it the value is constant and the gradient zero."""

LARGEST_OFFSET = 35.0
"""log(1.6e15); with `LARGEST` the largest mean is 1e28, whose gradients still fit float32."""


class LogLink:
    r""":math:`\log \mu = \mathrm{offset} + f`.

    Networks start at f = 0, and their prior is centred there. The offset places the level of y at f = 0, so that y of
    the order of 1e4 do not need f near 9.

    Parameters
    ----------
    offset : float, sequence (Q,) or None
        One for all targets, or one for each. None is 0; an estimator then sets it from y.

    Raises
    ------
    ValueError
        If the offset is not finite and between -35 and 35.
    """

    def __init__(self, offset: Any) -> None:
        self._is_open = offset is None
        try:
            value = np.asarray(0.0 if offset is None else offset, float)
        except (TypeError, ValueError):
            value = np.asarray(np.nan)
        if value.ndim > 1 or not value.size or not (np.abs(value) <= LARGEST_OFFSET).all():  # nan compares false
            raise ValueError(
                f"offset, the log of the level of y, must be a number between -{LARGEST_OFFSET:g} and "
                f"{LARGEST_OFFSET:g}, or one for each target, got {offset!r}"
            )
        self.constant = Constant(value, "likelihood_offset")

    @property
    def offset(self) -> Any:
        """Offset as it was given: None, a float or a list."""
        return None if self._is_open else self.constant.value

    def log(self, f: Any, dtype: Any) -> tf.Tensor:
        """Log mean, of the shape of f; finite for every f."""
        f = tf.convert_to_tensor(f)
        return self.constant.read(dtype) + tf.cast(tf.clip_by_value(f, -LARGEST, LARGEST), dtype)

    def check_targets(self, num_targets: int) -> None:
        """Raise a ValueError unless there is one offset, or one for each target."""
        shape = self.constant.variable.shape
        if shape.rank and shape[0] not in (1, num_targets):
            raise ValueError(f"The likelihood has {shape[0]} offsets, but y has {num_targets} columns")


class LogLinkLikelihood(Likelihood):
    r"""Abstract likelihood whose level of y is :math:`\exp(\mathrm{offset} + f)`, held in `_link`."""

    _link: LogLink

    @property
    def offset(self) -> Any:
        """Log of the level of y at f = 0: None, a float, or a list with one for each target."""
        return self._link.offset

    @property
    def constants(self) -> list[tf.Variable]:
        """The offset, and the constants of the noise."""
        return [self._link.constant.variable, *super().constants]

    def num_outputs(self, num_targets: int) -> int:
        """Number of network outputs, one for each of `num_targets` columns of y."""
        self._link.check_targets(num_targets)
        return super().num_outputs(num_targets)

    @classmethod
    def for_table(cls, y: np.ndarray, resolution: float) -> Likelihood:
        """Place the level of y at f = 0."""
        return cls().adapted(y, resolution)

    def adapted(self, y: np.ndarray, resolution: float) -> Likelihood:
        """Copy the likelihood, placing the level of y at f = 0 unless an offset was given."""
        del resolution
        offset = _offset(self.level(y)) if self.offset is None else self.offset
        return type(self)(**{**self.get_config(), "offset": offset})

    def level(self, y: np.ndarray) -> np.ndarray:
        """Typical y of each target, shape (Q,): the mean, or a little above 0 if there are no events at all."""
        return np.maximum(y.mean(axis=0), 0.5 / len(y) if self.discrete else 0.0)


def _offset(levels: Any) -> Any:
    """Offset that places positive levels (Q,) of y at f = 0: a float for one target, otherwise a list."""
    smallest, largest = np.exp(-LARGEST_OFFSET), np.exp(LARGEST_OFFSET)
    offsets = np.log(np.clip(np.asarray(levels, float), smallest, largest)).tolist()
    return offsets[0] if len(offsets) == 1 else offsets
