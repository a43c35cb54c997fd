"""How far observed coverage may be from nominal coverage by chance."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.stats import beta

from varbump.core.random import generator

__all__ = ["binomial_interval", "simultaneous_band"]

SIMULATIONS = 100_000
"""Their 0.1 % is 100 of them, so that the level of a 99.9 % band is known to 0.01 %."""


def binomial_interval(fraction: float, num: int, confidence: float = 0.95) -> tuple[float, float]:
    """Clopper-Pearson interval of a probability of which `fraction` of `num` trials came true; exact, if anything wide.

    References
    ----------
    Clopper and Pearson (1934), "The Use of Confidence or Fiducial Limits Illustrated in the Case of the Binomial".
    """
    hits, tail = fraction * num, (1.0 - confidence) / 2.0
    low = float(beta.ppf(tail, hits, num - hits + 1.0)) if hits > 0 else 0.0
    high = float(beta.ppf(1.0 - tail, hits + 1.0, num - hits)) if hits < num else 1.0
    return low, high


@lru_cache(maxsize=64)
def simultaneous_band(levels: tuple[float, ...], num: int, confidence: float = 0.999) -> tuple[np.ndarray, np.ndarray]:
    r"""Band that holds the coverage at ALL levels at once, with this probability, if the intervals are calibrated.

    .. math:: c \pm z \sqrt{c (1 - c) / N}

    Whether an observation lies in its interval of level c says whether a number that is uniform for a calibrated model
    is at most c, so that the counts between neighbouring levels are multinomial. z is the quantile of the greatest of
    the standardised misses over the levels, from 100,000 multinomial draws with a seed of their own: the band knows
    that the levels share their data, and how skewed the counts of small N are.

    Rows count as independent. Those of one data set share the error that the posterior mean makes there, which a
    calibrated posterior allows for on average over data sets only: where the epistemic share is large and there are
    many more held-out rows than training rows, a good model can leave the band.

    Parameters
    ----------
    levels : tuple of float (L,)
        Increasing, in (0, 1).
    num : int
        N, independent observations.
    confidence : float, default=0.999

    Returns
    -------
    low, high : ndarray (L,)
        In [0, 1].

    References
    ----------
    Säilynoja, Bürkner and Vehtari (2022), "Graphical test for discrete uniformity and its applications in
    goodness-of-fit evaluation and multiple sample comparison", section 2.2, for bands by simulation.
    """
    c = np.asarray(levels)
    counts = generator(19, num).multinomial(num, np.diff(c, prepend=0.0, append=1.0), size=SIMULATIONS)
    observed = np.cumsum(counts[:, :-1], axis=1) / num
    sd = np.sqrt(c * (1.0 - c) / num)
    z = np.quantile(np.max(np.abs(observed - c) / sd, axis=1), confidence, method="higher")
    return np.clip(c - z * sd, 0.0, 1.0), np.clip(c + z * sd, 0.0, 1.0)
