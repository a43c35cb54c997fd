"""What the parameters of a regressor mean for a candidate: arguments of its network, and options of its training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from varbump.core.checks import check_count
from varbump.core.registry import by_short_name
from varbump.estimator.candidates import Candidate
from varbump.estimator.rows import spacing
from varbump.estimator.settings import likelihood_of
from varbump.likelihoods import Likelihood
from varbump.likelihoods.checks import standardises
from varbump.posteriors import PosteriorFactory
from varbump.priors import Prior

__all__ = ["architecture", "training_options"]

MIN_EPOCHS = 5
"""Passes over the rows of a table if `max_iter` is None, at least."""

BATCH_SIZES = (64, 256)
"""Smallest and largest batch if `batch_size` is "auto": noisy gradients find better optima on small data."""

BATCHES_AN_EPOCH = 128
"""Number of batches from which larger data make larger batches instead of more."""

SMALLEST_SCALE = 1e-6
"""Floor of a learned noise sd, in sds of y: the rounding error of float32, below which residuals mean nothing."""


def training_options(
    parameters: Mapping[str, Any], num_rows: int, num_steps: int, min_epochs: int = MIN_EPOCHS
) -> dict[str, Any]:
    """Return options of `varbump.fit`: length of the run, size of the batches, learning rate and warm-up.

    Parameters
    ----------
    parameters : mapping
        Those of the regressor.
    num_rows : int
    num_steps : int
        About how many steps there are if `max_iter` is None.
    min_epochs : int, default=5
        Number of epochs that there are then at least.
    """
    auto = parameters["batch_size"] == "auto"
    batch_size = int(np.clip(num_rows // BATCHES_AN_EPOCH, *BATCH_SIZES) if auto else parameters["batch_size"])
    epochs = parameters["max_iter"]
    if epochs is None:
        epochs = max(round(num_steps / -(-num_rows // batch_size)), min_epochs)
    return {
        "epochs": int(epochs),
        "batch_size": batch_size,
        "learning_rate": float(parameters["learning_rate"]),
        "kl_warmup": float(parameters["kl_warmup"]),
    }


def architecture(
    candidate: Candidate,
    num_features: int,
    groups: Sequence[int],
    y: np.ndarray,
    parameters: Mapping[str, Any],
    seed: int,
) -> dict[str, Any]:
    """Return arguments of `varbump.build_network` that can all be pickled.

    Parameters
    ----------
    candidate : Candidate
    num_features : int
    groups : sequence of int
        Sizes of consecutive groups of features whose weights share one scale of the prior.
    y : ndarray (M, Q)
        Standardised y, to which the likelihood is adapted.
    parameters : mapping
        Those of the regressor.
    seed : int
    """
    likelihood = _likelihood(candidate.likelihood, y)
    posterior, prior = parameters["posterior"], parameters["prior"]
    posterior = by_short_name(PosteriorFactory)[posterior]() if isinstance(posterior, str) else posterior
    prior = by_short_name(Prior)[prior]() if isinstance(prior, str) else prior
    return {
        "num_features": num_features,
        "hidden_units": tuple(
            check_count(size, "hidden_layer_sizes") for size in np.atleast_1d(candidate.hidden_layer_sizes)
        ),
        "num_outputs": y.shape[1],
        "likelihood": likelihood,
        "activation": parameters["activation"],
        "make_prior_fn": prior.tied(groups),
        "make_posterior_fn": posterior,
        "estimator": _estimator(posterior, likelihood),
        "seed": seed,
    }


def _likelihood(likelihood: Any, y: np.ndarray) -> Any:
    r"""Likelihood for y (N, Q), standardised if the likelihood allows it; an instance is copied.

    The floor of its scale is the sd of rounding, :math:`\Delta / \sqrt{12}` for y recorded in steps of
    :math:`\Delta`, and at least `SMALLEST_SCALE`. Without it the density at the recorded values grows without bound
    once a network learns that they lie on a grid.
    """
    sd = float(np.min(y.std(axis=0))) if not standardises(likelihood_of(likelihood)) else 1.0
    floor = max(SMALLEST_SCALE * sd, min(spacing(column) for column in y.T) / np.sqrt(12.0))
    if not isinstance(likelihood, str):
        return likelihood.adapted(y, floor)
    return by_short_name(Likelihood)[likelihood].for_table(y, floor)


def _estimator(posterior: Any, likelihood: Any) -> str:
    """Return the gradient estimator with the least noise for the family; only "shared" can detach outputs."""
    return "shared" if likelihood.num_detached(1) else posterior.best_estimator
