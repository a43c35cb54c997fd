"""Whether something is a likelihood, and how many outputs it needs of a network."""

from __future__ import annotations

from typing import Any

from varbump.core.keras import refuse_keras3

__all__ = ["check_likelihood", "outputs_needed"]


def check_likelihood(likelihood: Any, *also: str) -> None:
    """Raise a TypeError unless `likelihood` has what training and prediction call, and the methods named in `also`."""
    refuse_keras3(likelihood, "likelihood")
    if isinstance(likelihood, type) or not all(hasattr(likelihood, name) for name in ("nll", "sample", *also)):
        made = f"; make one of the class, {likelihood.__name__}(...)" if isinstance(likelihood, type) else ""
        raise TypeError(
            f"likelihood must be one of varbump.likelihoods, such as Normal(scale=0.3), got {likelihood!r}{made}"
        )


def outputs_needed(likelihood: Any, num_targets: int) -> int:
    """Network outputs for so many columns of y: as many, unless the likelihood says otherwise."""
    check_likelihood(likelihood)
    return likelihood.num_outputs(num_targets) if hasattr(likelihood, "num_outputs") else num_targets
