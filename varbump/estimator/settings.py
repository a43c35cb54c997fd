"""What the names and defaults of `VariationalRegressor` stand for."""

from __future__ import annotations

from typing import Any

import numpy as np

from varbump.core.checks import check_count
from varbump.core.registry import by_short_name
from varbump.estimator.rows import spacing
from varbump.likelihoods import Likelihood
from varbump.likelihoods.checks import standardises
from varbump.posteriors import FullCovarianceNormal, JointNormal, LowRankNormal, MeanFieldNormal
from varbump.priors import ARDNormal, Laplace, Normal, TrainableNormal

__all__ = [
    "ACTIVATIONS",
    "POSTERIORS",
    "PRIORS",
    "architecture",
    "auto_batch_size",
    "auto_max_iter",
    "likelihood_of",
    "make_likelihood",
]

ACTIVATIONS = {"bump", "elu", "gaussian_bump", "gelu", "linear", "relu", "selu", "sigmoid", "softplus", "swish", "tanh"}

POSTERIORS = {
    "full_covariance": FullCovarianceNormal,
    "joint": JointNormal,
    "low_rank": LowRankNormal,
    "mean_field": MeanFieldNormal,
}

PRIORS = {"ard": ARDNormal, "laplace": Laplace, "normal": Normal, "trainable": TrainableNormal}

NUM_STEPS = 20_000
"""Of a fit whose `max_iter` is not set."""

MIN_EPOCHS = 5

BATCH_SIZES = (64, 256)
"""Smallest and largest batch where `batch_size` is not set."""

BATCHES_AN_EPOCH = 128
"""Where the data fill so many of the smallest batches, batches grow before there are more of them."""

SMALLEST_SCALE = 0.01
"""Floor of a learned noise sd, in sds of y: below it single rows would weigh more than all the rest."""


def auto_batch_size(num_rows: int) -> int:
    """Rows a step: few for small data, whose noise in the gradient finds better optima, more for large ones."""
    smallest, largest = BATCH_SIZES
    return int(np.clip(num_rows // BATCHES_AN_EPOCH, smallest, largest))


def auto_max_iter(num_rows: int, batch_size: int) -> int:
    """Epochs that make `NUM_STEPS` steps."""
    return max(round(NUM_STEPS / -(-num_rows // batch_size)), MIN_EPOCHS)


def likelihood_of(likelihood: Any) -> Any:
    """The likelihood that a name stands for, as it is before it has seen y; or what was passed."""
    if not isinstance(likelihood, str):
        return likelihood
    named = by_short_name(Likelihood)
    if likelihood not in named:
        raise ValueError(f"likelihood must be one of {', '.join(named)}, or an object, got {likelihood!r}")
    return named[likelihood]()


def make_likelihood(likelihood: Any, y: np.ndarray) -> Any:
    r"""A new likelihood for y (N, Q), standardised where that may be; one that was passed is copied.

    The floor of its scale is the sd of rounding, :math:`\Delta / \sqrt{12}` for a y that was recorded in steps of
    :math:`\Delta`, and at least `SMALLEST_SCALE`. Without it the density at the recorded values grows without bound
    where a network finds out that they lie on a grid.
    """
    sd = float(np.min(y.std(axis=0))) if not standardises(likelihood_of(likelihood)) else 1.0
    floor = max(SMALLEST_SCALE * sd, min(spacing(column) for column in y.T) / np.sqrt(12.0))
    if not isinstance(likelihood, str):
        return likelihood.adapted(y, floor)
    return by_short_name(Likelihood)[likelihood].for_table(y, floor)


def architecture(
    num_features: int, num_targets: int, likelihood: Any, parameters: dict[str, Any], seed: int
) -> dict[str, Any]:
    """Arguments of `varbump.build_network`, each of which can be pickled."""
    posterior, prior = parameters["posterior"], parameters["prior"]
    posterior = POSTERIORS[posterior]() if isinstance(posterior, str) else posterior
    return {
        "num_features": num_features,
        "hidden_units": tuple(
            check_count(size, "hidden_layer_sizes") for size in np.atleast_1d(parameters["hidden_layer_sizes"])
        ),
        "num_outputs": num_targets,
        "likelihood": likelihood,
        "activation": parameters["activation"],
        "make_prior_fn": PRIORS[prior]() if isinstance(prior, str) else prior,
        "make_posterior_fn": posterior,
        "estimator": _estimator(posterior, likelihood),
        "seed": seed,
    }


def _estimator(posterior: Any, likelihood: Any) -> str:
    """The estimator of the gradient with the least noise that the family has."""
    if likelihood.num_detached(1):
        return "shared"
    return "local" if isinstance(posterior, (MeanFieldNormal, LowRankNormal)) else "flipout"
