"""Networks that take standardised inputs, because they belong to an estimator, and a warning if the rows are raw."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

__all__ = ["note_standardised", "takes_standardised", "warn_of_raw"]

FAR, SHARE = 10.0, 0.1
"""By Chebyshev's inequality at most 1 % of the rows that a scaler was fitted to lie beyond 10 sds of a column, whatever
their distribution: ten times as many are something else."""


def note_standardised(network: Any) -> None:
    """Store in a network that its inputs are standardised."""
    object.__setattr__(network, "_varbump_standardised", True)  # bypasses the attribute tracking of Keras


def takes_standardised(network: Any) -> bool:
    """Whether the inputs of a network are standardised outside of it."""
    return getattr(network, "_varbump_standardised", False)


def warn_of_raw(network: Any, x: np.ndarray) -> None:
    """Warn if x (N, D) cannot be standardised rows but the network takes these."""
    if not takes_standardised(network):
        return
    shares = np.mean(np.abs(x.reshape(len(x), -1)) > FAR, axis=0)
    column = int(np.argmax(shares))
    if shares[column] > SHARE:
        warnings.warn(
            f"this network belongs to a VariationalRegressor and takes standardised x, but column {column} of x is "
            f"beyond {FAR:g} in {shares[column]:.0%} of the rows, as if it were in its own units; pass the "
            f"VariationalRegressor instead, which also answers in the units of y, or x_scaler_.transform(x)",
            UserWarning,
            stacklevel=4,
        )
