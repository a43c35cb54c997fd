"""Censored normal likelihood: normal noise recorded by an instrument with limits (Tobit)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from varbump.core.checks import check_number
from varbump.core.keras import keras
from varbump.core.registry import register_builtin
from varbump.likelihoods.censored import CensoredNormalDistribution, censored_nll
from varbump.likelihoods.constants import Constant
from varbump.likelihoods.learned_scale import LearnedScaleLikelihood
from varbump.likelihoods.scales import LearnedScale

__all__ = ["CensoredNormal"]

FEWEST = 0.01
"""Share of the rows, and at least two, that must equal the smallest or largest y for it to count as a limit."""


@register_builtin("CensoredNormalLikelihood")
class CensoredNormal(LearnedScaleLikelihood):
    r"""Normal likelihood for y recorded as a limit when beyond it: detection limits, capacities, sold-out shows.

    .. math:: y = \min(\max(z, l), u), \quad z \sim N(\mathrm{offset} + \mathrm{unit} f, (\mathrm{unit}\,
              \mathrm{scale})^2)

    A y at a limit counts as censored: z is at the limit or beyond, and the likelihood is the probability of that tail.
    Mean, standard deviation, draws and intervals are those of the recorded y; f describes the uncensored z. The scale
    is a weight of this object, trained by `varbump.fit` as a point estimate, see `LearnedNormal`.

    The limits are in units of y, so y is not standardised. Offset and unit scale f instead; `VariationalRegressor` sets
    them from y if they are omitted.

    Parameters
    ----------
    lower, upper : float, optional
        Limits, in units of y; a side that is omitted has no limit.
    scale : float or sequence (num_targets,), default=1.0
        Initial standard deviation of z given f, in units of `unit`.
    offset, unit : float or sequence (Q,), optional
        Value of z at f = 0, and what f = 1 adds to it, in units of y; 0 and 1 if omitted. Good values are about the
        mean and the standard deviation of y.
    min_scale : float, default=1e-3
        Floor of the scale.
    num_targets : int, default=1
        Number of scales: Q for one per column of y, 1 for one shared by all.
    dtype : str, optional
        Type of the weight, "float32" or "float64"; Keras' default if omitted.

    Raises
    ------
    ValueError
        If the limits are not numbers in increasing order or another number is out of range; in training, if any y is
        beyond a limit.

    References
    ----------
    Tobin (1958), "Estimation of Relationships for Limited Dependent Variables".
    """

    short_name, standardises_y, scale_varies = "censored_normal", False, True
    constant_keys = ("offset", "unit", "min_scale")

    def __init__(
        self,
        lower: float | None = None,
        upper: float | None = None,
        scale: Any = 1.0,
        *,
        offset: Any = None,
        unit: Any = None,
        min_scale: float = 1e-3,
        num_targets: int = 1,
        dtype: str | None = None,
        reduction: str = "auto",
        name: str = "censored_normal_nll",
    ) -> None:
        super().__init__(reduction=reduction, name=name)
        self.lower = None if lower is None else check_number(lower, "lower", minimum=-math.inf)
        self.upper = None if upper is None else check_number(upper, "upper", minimum=-math.inf)
        self.support = (-math.inf if lower is None else self.lower, math.inf if upper is None else self.upper)
        self.atoms = tuple(limit for limit in (self.lower, self.upper) if limit is not None)
        if self.support[0] >= self.support[1]:
            raise ValueError(f"lower must be below upper, got {lower!r} and {upper!r}")
        self.dtype = dtype or keras.backend.floatx()
        self._scale = LearnedScale(scale, min_scale, num_targets, self.dtype)
        self._is_open = offset is None and unit is None
        self._offset = Constant(_numbers(offset, 0.0, "offset"), "likelihood_offset")
        self._unit = Constant(_numbers(unit, 1.0, "unit"), "likelihood_unit")
        if not (np.asarray(self._unit.value) > 0.0).all():
            raise ValueError(f"unit must be above 0, got {unit!r}")

    @classmethod
    def for_table(cls, y: np.ndarray, resolution: float) -> CensoredNormal:
        """Use the smallest and largest y as limits, each only if at least 1 % of the rows, and two, equal it.

        Raises
        ------
        ValueError
            If neither qualifies as a limit.
        """
        ends = [y.min(), y.max()]
        counts = [np.count_nonzero((y == end).any(axis=1)) for end in ends]
        lower, upper = (
            float(end) if count >= max(2, FEWEST * len(y)) else None for end, count in zip(ends, counts, strict=True)
        )
        if (lower is None and upper is None) or lower == upper:
            raise ValueError(
                "y has no limit that several rows lie at; give it, as in likelihood=CensoredNormal(lower=0.0), or take "
                "another likelihood"
            )
        return cls(lower, upper, num_targets=y.shape[1]).adapted(y, resolution)

    def adapted(self, y: np.ndarray, resolution: float) -> CensoredNormal:
        """Copy the likelihood; an omitted offset is set to the mean of y, an omitted unit to its standard deviation."""
        config = self.get_config()
        if self._is_open:
            sd = np.where(y.std(axis=0) > 0.0, y.std(axis=0), 1.0)
            floor = float(np.clip(resolution / sd.min(), self.min_scale, np.min(self.scale)))
            pairs = [values.tolist() for values in (y.mean(axis=0), sd)]
            offset, unit = (values[0] if len(values) == 1 else values for values in pairs)
            config = {**config, "offset": offset, "unit": unit, "min_scale": floor}
        return type(self)(**config)

    @property
    def scale(self) -> float | np.ndarray:
        """Current standard deviation of z given f, a float or an ndarray (Q,), in units of `unit`."""
        return self._scale.value

    @property
    def min_scale(self) -> float:
        """Floor of the scale, in units of `unit`."""
        return self._scale.floor.value

    @property
    def offset(self) -> Any:
        """Value of z at f = 0, in units of y: None, a float, or a list with one for each target."""
        return None if self._is_open else self._offset.value

    @property
    def unit(self) -> Any:
        """What f = 1 adds to z, in units of y: None, a float, or a list with one for each target."""
        return None if self._is_open else self._unit.value

    @property
    def constants(self) -> list[tf.Variable]:
        """Offset, unit and floor of the scale."""
        return [self._offset.variable, self._unit.variable, *super().constants]

    def num_outputs(self, num_targets: int) -> int:
        """Number of network outputs, one for each of `num_targets` columns of y."""
        for constant, what in ((self._offset, "offsets"), (self._unit, "units")):
            if np.ndim(constant.value) and len(constant.value) not in (1, num_targets):
                raise ValueError(f"The likelihood has {len(constant.value)} {what}, but y has {num_targets} columns")
        return super().num_outputs(num_targets)

    def distribution(self, f: Any) -> CensoredNormalDistribution:
        """Distribution of y given f, batch shape (..., Q)."""
        f = tf.convert_to_tensor(f)
        loc, log_scale = self._of_z(f)
        return CensoredNormalDistribution(loc, tf.exp(log_scale), *self.support)

    def nll(self, y: Any, f: Any) -> tf.Tensor:
        r"""Negative log-likelihood of each observation, in nats, summed over targets.

        .. math:: \sum_q \begin{cases}
                  -\log \Phi((l - \mathrm{loc}_q) / \mathrm{sd}_q) & y_q = l \\
                  -\log \Phi((\mathrm{loc}_q - u) / \mathrm{sd}_q) & y_q = u \\
                  \tfrac12 ((y_q - \mathrm{loc}_q) / \mathrm{sd}_q)^2 + \log \mathrm{sd}_q + \tfrac12 \log 2\pi
                  & \text{otherwise} \end{cases}

        Parameters
        ----------
        y, f : Tensor (..., Q)
            Observations and network outputs.

        Returns
        -------
        Tensor (...)
        """
        f = tf.convert_to_tensor(f)
        loc, log_scale = self._of_z(f)
        return tf.reduce_sum(censored_nll(tf.cast(y, f.dtype), loc, log_scale, *self.support), axis=-1)

    def _of_z(self, f: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Location and log sd of z, of the shape of f."""
        unit = self._unit.read(f.dtype)
        log_scale = self._scale.log(f.dtype) + tf.math.log(unit)
        return self._offset.read(f.dtype) + unit * f, tf.broadcast_to(log_scale, tf.shape(f))


def _numbers(value: Any, default: float, argument: str) -> np.ndarray:
    try:
        array = np.asarray(default if value is None else value, float)
    except (TypeError, ValueError):
        array = np.asarray(np.nan)
    if array.ndim > 1 or not array.size or not np.isfinite(array).all():
        raise ValueError(f"{argument} must be a finite number or one for each target, got {value!r}")
    return array
