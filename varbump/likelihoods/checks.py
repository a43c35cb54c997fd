"""Checks of likelihoods: their interface, the network outputs that they need, and whether y are counts."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from varbump.core.keras import refuse_other_keras
from varbump.core.registry import by_short_name
from varbump.likelihoods.base import Likelihood

__all__ = ["check_likelihood", "is_discrete", "outputs_needed", "standardises"]


def check_likelihood(likelihood: Any, *also: str) -> None:
    """Raise a TypeError unless `likelihood` has the methods that are needed, including those in `also`."""
    refuse_other_keras(likelihood, "likelihood")
    if isinstance(likelihood, type) or not all(hasattr(likelihood, name) for name in ("nll", "sample", *also)):
        made = f"; make one of the class, {likelihood.__name__}(...)" if isinstance(likelihood, type) else ""
        named = by_short_name(Likelihood).get(likelihood) if isinstance(likelihood, str) else None
        if named is not None:
            made = f"; the one of that name is varbump.likelihoods.{named.__name__}(...)"
        raise TypeError(
            f"likelihood must be one of varbump.likelihoods, such as Normal(scale=0.3), got {likelihood!r:.80}{made}"
        )
    if isinstance(likelihood, Likelihood):
        type(likelihood).check_definition()


def outputs_needed(likelihood: Any, num_targets: int) -> int:
    """Number of network outputs for `num_targets` columns of y: equal, unless the likelihood needs others."""
    check_likelihood(likelihood)
    return likelihood.num_outputs(num_targets) if hasattr(likelihood, "num_outputs") else num_targets


def is_discrete(likelihood: Any) -> bool:
    """Whether y are whole numbers, according to the class or to the distribution.

    Continuous distributions of TFP have a bijector from all numbers onto their support; discrete ones do not.
    """
    if getattr(likelihood, "discrete", False):
        return True
    if not hasattr(likelihood, "distribution") or likelihood.noise() is not None:
        return False
    try:
        made = likelihood.distribution(tf.zeros([1, likelihood.num_outputs(getattr(likelihood, "num_targets", 1))]))
        return made.dtype.is_integer or made.experimental_default_event_space_bijector() is None
    except (AttributeError, NotImplementedError, TypeError, ValueError, tf.errors.InvalidArgumentError):
        return False  # errors in it are reported where it is used


def standardises(likelihood: Any) -> bool:
    """Whether y may be standardised for a likelihood; counts may not."""
    return getattr(likelihood, "standardises_y", True) and not is_discrete(likelihood)
