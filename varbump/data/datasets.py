"""Toy data sets whose truth is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from varbump.core.random import generator

__all__ = [
    "CUBIC_RANGE",
    "FAN_RANGE",
    "TWO_CLUSTERS",
    "WIGGLY_CLUSTERS",
    "cubic",
    "cubic_noise",
    "fan",
    "fan_noise",
    "two_clusters",
    "wiggly",
    "wiggly_mean",
]

CUBIC_RANGE = (-1.0, 2.0)
"""Interval that the inputs of `cubic` cover."""

WIGGLY_CLUSTERS = ((-2.0, -0.2), (0.6, 2.0))
"""Intervals that the inputs of `wiggly` cover."""

TWO_CLUSTERS = ((-1.5, -0.75), (0.75, 1.5))
"""Intervals that the inputs of `two_clusters` cover."""

FAN_RANGE = (-2.0, 2.0)
"""Interval that the inputs of `fan` cover."""


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
    _check_num_data(num_data)
    x = np.linspace(*CUBIC_RANGE, num_data)[:, None]
    return _observed(x, x**3, noise, generator(seed))


def wiggly_mean(x: np.ndarray) -> np.ndarray:
    r"""Mean of `wiggly`: :math:`\sin 3x + 0.4 \sin(5.5 x + 1)`, whose sd over the data is about 0.8."""
    return np.sin(3.0 * x) + 0.4 * np.sin(5.5 * x + 1.0)


def wiggly(
    num_data: int = 200, seed: int = 0, *, noise: float | Callable[[np.ndarray], np.ndarray] = 0.25
) -> tuple[np.ndarray, np.ndarray]:
    """Noisy observations of a wiggly curve with a gap in x, modelled on Snelson's one-dimensional data set.

    That set has 200 points with x between 0 and 6. Here x lies in [-2, 2], that is (u - 3) / 1.5 for u in [0, 6], and
    the curve has a scale of about 1, so N(0, 1) priors over the weights are reasonable. Two thirds of the points lie
    to the left of the gap (-0.2, 0.6), the others to its right.

    Parameters
    ----------
    num_data : int, default=200
        N, at least 1.
    seed : int, default=0
        Seed of inputs and noise.
    noise : float or callable, default=0.25
        Standard deviation of the noise, in the units of y: one number, or a function of x.

    Returns
    -------
    x, y : ndarray (N, 1), float32
        x is sorted.

    Raises
    ------
    ValueError
        If `num_data` is below 1 or a standard deviation is negative.

    References
    ----------
    Snelson and Ghahramani (2006), "Sparse Gaussian Processes using Pseudo-inputs", figure 1.
    """
    rng = generator(seed)
    x = _clustered(num_data, WIGGLY_CLUSTERS, 2 / 3, rng)
    return _observed(x, wiggly_mean(x), noise, rng)


def two_clusters(
    num_data: int = 100, seed: int = 0, *, noise: float | Callable[[np.ndarray], np.ndarray] = 0.2
) -> tuple[np.ndarray, np.ndarray]:
    r"""Noisy observations of :math:`y = \cos(2x + 0.4)` in two clusters of x far apart.

    The posterior is uncertain in the gap; families that cannot express this are exposed.

    Parameters
    ----------
    num_data : int, default=100
        N, at least 1; half of the points lie in each cluster.
    seed : int, default=0
        Seed of inputs and noise.
    noise : float or callable, default=0.2
        Standard deviation of the noise, in the units of y: one number, or a function of x.

    Returns
    -------
    x, y : ndarray (N, 1), float32
        x is sorted.

    Raises
    ------
    ValueError
        If `num_data` is below 1 or a standard deviation is negative.

    References
    ----------
    Foong, Burt, Li and Turner (2020), "On the Expressiveness of Approximate Inference in Bayesian Neural Networks",
    figure 1, which uses such data as a test.
    """
    rng = generator(seed)
    x = _clustered(num_data, TWO_CLUSTERS, 1 / 2, rng)
    return _observed(x, np.cos(2.0 * x + 0.4), noise, rng)


def fan_noise(x: np.ndarray) -> np.ndarray:
    """Standard deviation of the noise of `fan`: 0.1 (2.5 + x), from 0.05 to 0.45 over the data."""
    return 0.1 * (2.5 + x)


def fan(
    num_data: int = 200, seed: int = 0, *, noise: float | Callable[[np.ndarray], np.ndarray] = fan_noise
) -> tuple[np.ndarray, np.ndarray]:
    r"""Noisy observations of :math:`y = \sin 2x` at x uniform in [-2, 2], whose noise grows ninefold with x.

    Parameters
    ----------
    num_data : int, default=200
        N, at least 1.
    seed : int, default=0
        Seed of inputs and noise.
    noise : float or callable, default=fan_noise
        Standard deviation of the noise, in the units of y: one number, or a function of x.

    Returns
    -------
    x, y : ndarray (N, 1), float32
        x is sorted.

    Raises
    ------
    ValueError
        If `num_data` is below 1 or a standard deviation is negative.
    """
    rng = generator(seed)
    x = _clustered(num_data, (FAN_RANGE,), 1.0, rng)
    return _observed(x, np.sin(2.0 * x), noise, rng)


def _clustered(
    num_data: int, clusters: tuple[tuple[float, float], ...], first: float, rng: np.random.Generator
) -> np.ndarray:
    """Draw ascending inputs (N, 1), uniform in each cluster, with the fraction `first` of them in the first one."""
    _check_num_data(num_data)
    num_first = round(first * num_data)
    counts = (num_first, num_data - num_first)
    parts = [rng.uniform(*cluster, size=count) for cluster, count in zip(clusters, counts, strict=False)]
    return np.sort(np.concatenate(parts))[:, None]


def _check_num_data(num_data: int) -> None:
    if num_data < 1:
        raise ValueError(f"num_data must be at least 1, got {num_data}")


def _observed(
    x: np.ndarray, mean: np.ndarray, noise: float | Callable[[np.ndarray], np.ndarray], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return x and the mean with noise added, both in float32."""
    scale = np.broadcast_to(noise(x) if callable(noise) else noise, x.shape)
    if not np.isfinite(scale).all() or (scale < 0).any():
        raise ValueError("noise must be finite and not negative: it is a standard deviation")
    y = mean + scale * rng.standard_normal(x.shape)
    return x.astype(np.float32), y.astype(np.float32)
