"""Meaning of the names and defaults of `VariationalRegressor`."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils._param_validation import StrOptions

from varbump.core.checks import check_count
from varbump.core.registry import by_short_name
from varbump.estimator.rows import spacing
from varbump.layers import TrainableActivation
from varbump.likelihoods import Likelihood
from varbump.likelihoods.checks import standardises
from varbump.posteriors import PosteriorFactory
from varbump.priors import Prior

__all__ = [
    "ACTIVATIONS",
    "ShortNames",
    "architecture",
    "auto_batch_size",
    "auto_max_iter",
    "likelihood_of",
    "make_likelihood",
]

ACTIVATIONS = {"elu", "gelu", "linear", "relu", "selu", "sigmoid", "softplus", "swish", "tanh"}
ACTIVATIONS |= set(by_short_name(TrainableActivation))

MIN_EPOCHS = 5

BATCH_SIZES = (64, 256)
"""Smallest and largest batch if `batch_size` is "auto"."""

BATCHES_AN_EPOCH = 128
"""Number of batches from which larger data make larger batches instead of more."""

SMALLEST_SCALE = 1e-6
"""Floor of a learned noise sd, in sds of y: the rounding error of float32, below which residuals mean nothing."""


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


def auto_batch_size(num_rows: int) -> int:
    """Return the rows per step: few for small data, where noisy gradients find better optima, more for large data."""
    smallest, largest = BATCH_SIZES
    return int(np.clip(num_rows // BATCHES_AN_EPOCH, smallest, largest))


def auto_max_iter(num_rows: int, batch_size: int, num_steps: int) -> int:
    """Return the number of epochs that makes about so many steps."""
    return max(round(num_steps / -(-num_rows // batch_size)), MIN_EPOCHS)


def likelihood_of(likelihood: Any) -> Any:
    """The likelihood that a name stands for, as it is before it has seen y; or what was passed."""
    if not isinstance(likelihood, str):
        return likelihood
    named = by_short_name(Likelihood)
    if likelihood not in named:
        raise ValueError(f"likelihood must be one of {', '.join(named)}, or an object, got {likelihood!r}")
    return named[likelihood]()


def make_likelihood(likelihood: Any, y: np.ndarray) -> Any:
    r"""Make the likelihood for y (N, Q), standardised if the likelihood allows it; an instance is copied.

    The floor of its scale is the sd of rounding, :math:`\Delta / \sqrt{12}` for y recorded in steps of
    :math:`\Delta`, and at least `SMALLEST_SCALE`. Without it the density at the recorded values grows without bound
    once a network learns that they lie on a grid.
    """
    sd = float(np.min(y.std(axis=0))) if not standardises(likelihood_of(likelihood)) else 1.0
    floor = max(SMALLEST_SCALE * sd, min(spacing(column) for column in y.T) / np.sqrt(12.0))
    if not isinstance(likelihood, str):
        return likelihood.adapted(y, floor)
    return by_short_name(Likelihood)[likelihood].for_table(y, floor)


def architecture(
    num_features: int, num_targets: int, likelihood: Any, parameters: dict[str, Any], seed: int
) -> dict[str, Any]:
    """Return arguments of `varbump.build_network` that can all be pickled."""
    posterior, prior = parameters["posterior"], parameters["prior"]
    posterior = by_short_name(PosteriorFactory)[posterior]() if isinstance(posterior, str) else posterior
    return {
        "num_features": num_features,
        "hidden_units": tuple(
            check_count(size, "hidden_layer_sizes") for size in np.atleast_1d(parameters["hidden_layer_sizes"])
        ),
        "num_outputs": num_targets,
        "likelihood": likelihood,
        "activation": parameters["activation"],
        "make_prior_fn": by_short_name(Prior)[prior]() if isinstance(prior, str) else prior,
        "make_posterior_fn": posterior,
        "estimator": _estimator(posterior, likelihood),
        "seed": seed,
    }


def _estimator(posterior: Any, likelihood: Any) -> str:
    """Return the gradient estimator with the least noise for the family; only "shared" can detach outputs."""
    return "shared" if likelihood.num_detached(1) else posterior.best_estimator
