"""Names that `VariationalRegressor` takes."""

from __future__ import annotations

from typing import Any

from sklearn.utils._param_validation import StrOptions

from varbump.core.registry import by_short_name
from varbump.layers import TrainableActivation
from varbump.likelihoods import Likelihood

__all__ = ["ACTIVATIONS", "ShortNames", "likelihood_of"]

ACTIVATIONS = {"elu", "gelu", "linear", "relu", "selu", "sigmoid", "softplus", "swish", "tanh"}
ACTIVATIONS |= set(by_short_name(TrainableActivation))


class ShortNames(StrOptions):
    """Constraint of scikit-learn: the short name of a registered class, also of one that is registered later.

    Parameters
    ----------
    base : type
        Such as `Prior`.
    """

    def __init__(self, base: type) -> None:
        self._base = base
        super().__init__(set(by_short_name(base)))

    def is_satisfied_by(self, val: Any) -> bool:
        """Whether it is one of the names that there are now."""
        self.options = set(by_short_name(self._base))
        return super().is_satisfied_by(val)


def likelihood_of(likelihood: Any) -> Any:
    """The likelihood that a name stands for, as it is before it has seen y; or what was passed."""
    if not isinstance(likelihood, str):
        return likelihood
    named = by_short_name(Likelihood)
    if likelihood not in named:
        raise ValueError(f"likelihood must be one of {', '.join(named)}, or an object, got {likelihood!r}")
    return named[likelihood]()
