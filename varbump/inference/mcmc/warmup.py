"""Adaptation of the scale of each coordinate during the warm-up."""

from __future__ import annotations

import numpy as np

__all__ = ["adapted_scale"]

MAX_CHANGE = 100.0
"""Bound on the factor by which one window may change a scale: a few draws that hardly moved are unreliable."""


def adapted_scale(draws: np.ndarray, gradients: np.ndarray, scale: np.ndarray) -> np.ndarray:
    r"""Compute the scale of each coordinate such that z = u / scale is about as wide as it is steep.

    .. math:: \mathrm{scale}_i = \left( \operatorname{Var}[u_i] \,/\,
              \operatorname{E}[(\partial \log p / \partial u_i)^2] \right)^{1/4}

    For independent normals this is the standard deviation. The curvature of a posterior over the weights of a network
    varies strongly from place to place: with the variance alone, the steepest places would determine the step size,
    and q describes the width of one mode only.

    Parameters
    ----------
    draws, gradients : ndarray (S, n)
        Draws of u, and gradients of the log density with respect to u.
    scale : ndarray (n,)
        Current scale, which is kept where the draws are uninformative.

    References
    ----------
    The diagonal adaptation of nutpie, https://github.com/pymc-devs/nutpie.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        wanted = (draws.var(0, dtype=np.float64) / np.mean(gradients.astype(np.float64) ** 2, 0)) ** 0.25
    wanted = np.where(np.isfinite(wanted) & (wanted > 0), wanted, scale)
    return np.clip(wanted, scale / MAX_CHANGE, scale * MAX_CHANGE).astype(scale.dtype)
