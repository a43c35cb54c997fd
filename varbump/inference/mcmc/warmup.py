"""What the warm-up learns besides the step size: how far each coordinate reaches."""

from __future__ import annotations

import numpy as np

__all__ = ["adapted_scale"]

MAX_CHANGE = 100.0
"""Bound on the factor by which one window may change a scale: few draws that hardly moved know little."""


def adapted_scale(draws: np.ndarray, gradients: np.ndarray, scale: np.ndarray) -> np.ndarray:
    r"""Scale of each coordinate, for z = u / scale to be about as wide as it is steep.

    .. math:: \mathrm{scale}_i = \left( \operatorname{Var}[u_i] \,/\,
              \operatorname{E}[(\partial \log p / \partial u_i)^2] \right)^{1/4}

    For independent normals that is the standard deviation. The curvature of a posterior over the weights of a network
    differs much from place to place; the variance alone lets the steepest places dictate the step size, and q knows
    the width of one mode only.

    Parameters
    ----------
    draws, gradients : ndarray (S, n)
        Of u and of the log density with respect to u.
    scale : ndarray (n,)
        The present one, which is kept where the draws say nothing.

    References
    ----------
    The diagonal adaptation of nutpie, https://github.com/pymc-devs/nutpie.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        wanted = (draws.var(0, dtype=np.float64) / np.mean(gradients.astype(np.float64) ** 2, 0)) ** 0.25
    wanted = np.where(np.isfinite(wanted) & (wanted > 0), wanted, scale)
    return np.clip(wanted, scale / MAX_CHANGE, scale * MAX_CHANGE).astype(scale.dtype)
