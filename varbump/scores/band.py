"""Bands for the difference of observed from nominal coverage by chance."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.stats import beta

from varbump.core.random import generator

__all__ = ["binomial_interval", "simultaneous_band"]

SIMULATIONS = 100_000
"""Draws behind a band. 0.1 % of them are 100, so the level of a 99.9 % band is known to 0.01 %."""


def binomial_interval(fraction: float, num: int, confidence: float = 0.95) -> tuple[float, float]:
    """Clopper-Pearson interval of a probability, given a success rate of `fraction` in `num` trials; never too narrow.

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
    r"""Band that contains the coverage at ALL levels at once, with this probability, if the intervals are calibrated.

    .. math:: c \pm z \sqrt{c (1 - c) / N}

    An observation lies in its interval of level c exactly if a certain number, uniform for a calibrated model, is at
    most c; the counts between neighbouring levels are therefore multinomial. z is the quantile of the largest
    standardised deviation over the levels, from 100,000 multinomial draws with a fixed seed. The band thus accounts
    for the levels sharing their data, and for the skewness of the counts at small N.

    Rows are treated as independent. Rows of one data set share the error of the posterior mean, which a calibrated
    posterior allows for only on average over data sets: if the epistemic share is large and there are many more
    held-out rows than training rows, a good model can leave the band.

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
