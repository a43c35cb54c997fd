"""Base of likelihoods with one learned scale, or one for each target."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from varbump.likelihoods.base import Likelihood
from varbump.likelihoods.scales import LARGEST, LearnedScale

__all__ = ["LearnedScaleLikelihood"]


class LearnedScaleLikelihood(Likelihood):
    """Abstract likelihood with a learned positive number, `_scale`.

    Attributes
    ----------
    in_units_of_y : bool
        Whether the number is in the units of y.
    """

    in_units_of_y: ClassVar[bool] = False
    constant_keys: ClassVar[tuple[str, ...]] = ("min_scale",)
    _scale: LearnedScale

    @property
    def num_targets(self) -> int:
        """Number of learned scales: Q, or 1 for all targets."""
        return self._scale.num_targets

    @property
    def learned(self) -> tuple[str, ...]:
        """Key of the scale."""
        return (self._scale.argument,)

    def share_at_floor(self, f: Any) -> float:
        """Share of the targets whose scale is held by its floor."""
        del f
        return self._scale.share_at_floor

    def at_raw_scales(self, raw: Any) -> LearnedScaleLikelihood:
        """The same likelihood with the values of a tensor in place of those of the variable behind the scale."""
        made = object.__new__(type(self))  # a copy would make new variables, which is not possible in a tf.function
        made.__dict__.update(self.__dict__)
        made._scale = self._scale.at(raw)
        return made

    def at_scales(self, scales: np.ndarray, rank: int = 3) -> LearnedScaleLikelihood:
        """The same likelihood for draws of f (S, ..., K), with scales (S, Q) or (S, 1) of each draw.

        Parameters
        ----------
        scales : ndarray (S, Q) or (S, 1)
        rank : int, default=3
            Number of axes of f.
        """
        raw = self._scale.raw(np.asarray(scales, float)).reshape(len(scales), *[1] * (rank - 2), -1)
        return self.at_raw_scales(tf.constant(raw, self._scale.variable.dtype))

    def scales_of(self, raw: np.ndarray) -> np.ndarray:
        """Scales for values (...) of the variable behind them."""
        return np.asarray(self._scale.at(tf.constant(raw)).value)

    def raw_scales(self, scales: np.ndarray | None = None) -> np.ndarray:
        """Values of the variable behind the scales, () or (Q,): for given scales (1,) or (Q,), or the present ones."""
        variable = self._scale.variable
        return variable.numpy() if scales is None else self._scale.raw(scales).reshape(variable.shape)

    def medians_of_scales(self, y: np.ndarray) -> np.ndarray:
        """Medians (1,) or (Q,) of the distributions of the scales where they are sampled, for observations y (N, Q)."""
        variances = np.asarray(y, float).reshape(-1, np.shape(y)[-1]).var(0)
        medians = np.sqrt(np.where(variances > 0, variances, 1.0)) if self.in_units_of_y else np.ones_like(variances)
        medians = medians if self.num_targets > 1 else np.sqrt(np.mean(medians**2, keepdims=True))
        return np.clip(medians, 2.0 * self._scale.floor.value, LARGEST)

    def log_hyperprior(self, medians: np.ndarray) -> tf.Tensor:
        """Log density of the variable behind the scales, nats, where they are not fitted but sampled.

        They have half-Cauchy distributions with these medians.

        References
        ----------
        Gelman (2006), "Prior distributions for variance parameters in hierarchical models", Bayesian Analysis 1.
        """
        return self._scale.log_half_cauchy(medians)

    @property
    def variables(self) -> list[tf.Variable]:
        """The weight behind the scale, () or (Q,)."""
        return [self._scale.variable]

    @property
    def constants(self) -> list[tf.Variable]:
        """The floor of the scale."""
        return [self._scale.floor.variable]

    def num_outputs(self, num_targets: int) -> int:
        """Number of network outputs, one for each of `num_targets` columns of y."""
        self._scale.check_targets(num_targets)
        return num_targets
