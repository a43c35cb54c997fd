"""Factories of posteriors and priors, given as such or by name."""

from __future__ import annotations

from typing import Any

from varbump.core.registry import by_short_name
from varbump.posteriors import PosteriorFactory, posterior as default_posterior
from varbump.priors import Prior, prior as default_prior

__all__ = ["factory_of", "posterior_factory", "prior_factory"]


def posterior_factory(posterior: Any, make_posterior_fn: Any) -> Any:
    """Return the factory that one of the two arguments gives or names; by default `varbump.posterior`."""
    return factory_of("posterior", posterior, make_posterior_fn, PosteriorFactory) or default_posterior


def prior_factory(prior: Any, make_prior_fn: Any) -> Any:
    """Return the factory that one of the two arguments gives or names; by default `varbump.prior`."""
    return factory_of("prior", prior, make_prior_fn, Prior) or default_prior


def factory_of(what: str, value: Any, make_fn: Any, base: type) -> Any:
    """Return the factory that is given under one of two names, or None; a name is that of a registered class.

    Parameters
    ----------
    what : {"posterior", "prior"}
    value : str, callable or None
        The argument called `what`.
    make_fn : str, callable or None
        The argument called ``make_{what}_fn``, as the layers of TFP have it.
    base : type
        `PosteriorFactory` or `Prior`.

    Raises
    ------
    ValueError
        If both are given, or a name is unknown.
    """
    if value is not None and make_fn is not None:
        raise ValueError(f"{what} and make_{what}_fn are two names of one argument; give one of them")
    given = make_fn if value is None else value
    if not isinstance(given, str):
        return given
    named = by_short_name(base)
    found = named.get(given, named.get(given.removesuffix("_normal")))
    if found is None:
        raise ValueError(f"{what} must be one of {', '.join(named)}, or a factory, got {given!r:.60}")
    return found()
