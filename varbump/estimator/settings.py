"""What the names and defaults of `VariationalRegressor` stand for."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from sklearn.utils._param_validation import StrOptions

from varbump.core.checks import check_count
from varbump.core.registry import by_short_name
from varbump.estimator.rows import spacing
from varbump.layers import TrainableActivation
from varbump.likelihoods import Likelihood
from varbump.posteriors import PosteriorFactory
from varbump.priors import Prior

__all__ = [
    "ACTIVATIONS",
    "ShortNames",
    "architecture",
    "auto_batch_size",
    "auto_max_iter",
    "make_likelihood",
]

ACTIVATIONS = {"elu", "gelu", "linear", "relu", "selu", "sigmoid", "softplus", "swish", "tanh"}
ACTIVATIONS |= set(by_short_name(TrainableActivation))

NUM_STEPS = 20_000
"""Of a fit whose `max_iter` is not set."""

MIN_EPOCHS = 5

BATCH_SIZES = (64, 256)
"""Smallest and largest batch where `batch_size` is not set."""

BATCHES_AN_EPOCH = 128
"""Where the data fill so many of the smallest batches, batches grow before there are more of them."""

SMALLEST_SCALE = 0.01
"""Floor of a learned noise sd, in sds of y: below it single rows would weigh more than all the rest."""


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
    """Rows a step: few for small data, whose noise in the gradient finds better optima, more for large ones."""
    smallest, largest = BATCH_SIZES
    return int(np.clip(num_rows // BATCHES_AN_EPOCH, smallest, largest))


def auto_max_iter(num_rows: int, batch_size: int) -> int:
    """Epochs that make `NUM_STEPS` steps."""
    return max(round(NUM_STEPS / -(-num_rows // batch_size)), MIN_EPOCHS)


def make_likelihood(likelihood: Any, y: np.ndarray) -> Any:
    r"""A new likelihood for standardised y (N, Q); one that was passed is copied.

    The floor of its scale is the sd of rounding, :math:`\Delta / \sqrt{12}` for a y that was recorded in steps of
    :math:`\Delta`, and at least `SMALLEST_SCALE`. Without it the density at the recorded values grows without bound
    where a network finds out that they lie on a grid.
    """
    if not isinstance(likelihood, str):
        return copy.deepcopy(likelihood)
    floor = max(SMALLEST_SCALE, min(spacing(column) for column in y.T) / np.sqrt(12.0))
    return by_short_name(Likelihood)[likelihood].for_table(y, floor)


def architecture(
    num_features: int, num_targets: int, likelihood: Any, parameters: dict[str, Any], seed: int
) -> dict[str, Any]:
    """Arguments of `varbump.build_network`, each of which can be pickled."""
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
    """The estimator of the gradient with the least noise that the family has; only "shared" can detach outputs."""
    return "shared" if likelihood.num_detached(1) else posterior.best_estimator
