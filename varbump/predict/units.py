"""What is predicted with, for a model of any kind: a source of draws, rows as it takes them, and the units of y."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from varbump.core.checks import check_count, check_draws
from varbump.core.keras import is_built, keras
from varbump.core.random import host_seed
from varbump.core.standardised import warn_of_raw
from varbump.likelihoods.checks import check_likelihood
from varbump.model.checks import check_inputs, check_network
from varbump.model.heads import separated
from varbump.predict.sampler import DrawSource, Sampler, sampler_of

__all__ = ["Prepared", "prepare", "with_likelihood"]


class Prepared(NamedTuple):
    """A source of draws with rows and units.

    Attributes
    ----------
    source : tf_keras.Model or DrawSource
    x : ndarray (N, D)
        Rows as `source` takes them.
    sampler : Sampler
        It draws functions at rows like those of x.
    shift, unit : ndarray (Q,) or None
        ``shift + unit * z`` is in the units of y, where z is in those of `source`; None if there are no others.
    head : likelihood or None
        Distribution of y in which the network ends, see `varbump.model.heads.separated`.
    """

    source: Any
    x: np.ndarray
    sampler: Sampler
    shift: np.ndarray | None
    unit: np.ndarray | None
    head: Any

    @property
    def answers_in_y(self) -> bool:
        """Whether functions are E[y | f] by a likelihood of its own, not outputs of a network."""
        return self.unit is not None or self.head is not None

    def in_units(self, values: np.ndarray) -> np.ndarray:
        """Draws (S, N, Q) in the units of y."""
        return values if self.unit is None else self.shift + self.unit * values

    def likelihood(self, given: Any) -> Any:
        """Return the likelihood that is given, or that of the source, or raise a TypeError if there is none."""
        if self.unit is not None and given is not None:
            raise TypeError(
                "likelihood must be left out for an estimator, which has learned its own; predict_y draws "
                "observations, and so does predict_bands with kind='predictive'"
            )
        likelihood = given or self.head or getattr(self.source, "likelihood", None)
        if likelihood is None:
            raise TypeError("likelihood is missing: pass the one that the model was trained with")
        check_likelihood(likelihood)
        return likelihood


def with_likelihood(source: Any, likelihood: Any, x: Any) -> tuple[Any, Any]:
    """Separate a network that ends in a distribution, see `varbump.model.heads.separated`; others stay as they are."""
    return separated(source, likelihood, x) if isinstance(source, keras.Model) else (source, likelihood)


def _head_of_draws(source: Any) -> Any:
    """Distribution of y in which the network ended whose draws these are; a network may have any attribute `head`."""
    return None if isinstance(source, keras.Model) else getattr(source, "head", None)


def prepare(
    model: Any, x: Any, num_draws: int, seed: int | None, chunk_size: int | None, likelihood: Any = None
) -> Prepared:
    """Check the arguments of a prediction and make the sampler that draws functions at x."""
    source, of_network = with_likelihood(model, likelihood, x)
    head, shift, unit = (_head_of_draws(source) if source is model else of_network), None, None
    if hasattr(model, "_predictive_of"):  # an estimator, whose package ranks above this one
        predictive, x, shift, unit = model._predictive_of(x)
        source = predictive.source
    network = source.network if isinstance(source, DrawSource) else source
    check_network(network, predicts=True)
    check_draws(num_draws)
    if chunk_size is not None:
        check_count(chunk_size, "chunk_size")
    x = check_inputs(network, x)
    if unit is None:
        warn_of_raw(network, x)
    if not is_built(network):
        network(x[:1])
    sampler = sampler_of(source, x.shape[1:], num_draws, host_seed(seed), chunk_size)
    return Prepared(source, x, sampler, shift, unit, head)
