"""Base of likelihoods with one learned scale, or one for each target."""

from __future__ import annotations

from typing import Any, ClassVar

import tensorflow as tf

from varbump.likelihoods.base import Likelihood
from varbump.likelihoods.scales import LearnedScale

__all__ = ["LearnedScaleLikelihood"]


class LearnedScaleLikelihood(Likelihood):
    """Abstract likelihood with a learned positive number, `_scale`."""

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
