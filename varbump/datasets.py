"""Toy data with a known truth, in NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["CUBIC_RANGE", "cubic", "cubic_noise"]

CUBIC_RANGE = (-1.0, 2.0)
"""Interval that the inputs of `cubic` cover."""


def cubic_noise(x: np.ndarray) -> np.ndarray:
    """Standard deviation of the noise of `cubic`: 0.1 (2 + x), from 0.1 to 0.4 over the data."""
    return 0.1 * (2.0 + x)


def cubic(
    num_data: int = 5000, seed: int = 0, *, noise: float | Callable[[np.ndarray], np.ndarray] = cubic_noise
) -> tuple[np.ndarray, np.ndarray]:
    r"""Noisy observations of :math:`y = x^3` at equally spaced x in [-1, 2].

    Parameters
    ----------
    num_data : int, default=5000
        N, at least 1.
    seed : int, default=0
        Seed of the noise.
    noise : float or callable, default=cubic_noise
        Standard deviation of the noise, in the units of y: one number, or a function of x.

    Returns
    -------
    x, y : ndarray (N, 1), float32

    Raises
    ------
    ValueError
        If `num_data` is below 1 or a standard deviation is negative.
    """
    if num_data < 1:
        raise ValueError(f"num_data must be at least 1, got {num_data}")
    x = np.linspace(*CUBIC_RANGE, num_data)[:, None]
    scale = np.broadcast_to(noise(x) if callable(noise) else noise, x.shape)
    if not np.isfinite(scale).all() or (scale < 0).any():
        raise ValueError("noise must be finite and not negative: it is a standard deviation")
    y = x**3 + scale * np.random.default_rng(seed).standard_normal(x.shape)
    return x.astype(np.float32), y.astype(np.float32)
