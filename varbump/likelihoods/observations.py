"""Check that numbers are possible observations of a likelihood."""

from __future__ import annotations

import numpy as np

__all__ = ["check_support"]


def check_support(
    y: np.ndarray, argument: str, of: str, support: tuple[float, float], discrete: bool, is_open: bool
) -> None:
    """Raise a ValueError that names the argument and the first invalid row unless y (N, ...) lie in the support.

    Parameters
    ----------
    y : ndarray (N, ...)
    argument, of : str
        Names of y and of the likelihood, for the message.
    support : (float, float)
    discrete : bool
        Whether y must be whole numbers.
    is_open : bool
        Whether the ends of the support are excluded.
    """
    low, high = support
    below, above = (y <= low, y >= high) if is_open else (y < low, y > high)
    than_low, than_high = ("above", "below") if is_open else ("of at least", "of at most")
    for bad, wanted in (
        (below if np.isfinite(low) else None, f"numbers {than_low} {low:g}"),
        (above if np.isfinite(high) else None, f"numbers {than_high} {high:g}"),
        (y != np.floor(y) if discrete else None, "whole numbers"),
    ):
        if bad is not None and bad.any():
            where = tuple(int(i) for i in np.argwhere(bad)[0])
            column = f", column {where[-1]}" if y.ndim > 1 and y.shape[-1] > 1 else ""
            raise ValueError(
                f"{argument} must hold {wanted} for {of}, but {bad.sum():,} of its {bad.size:,} entries are not, the "
                f"first, {y[where]:g}, in row {where[0]}{column}"
            )
