r"""Intervals that cover at least as often as they say, by rows that the model has not seen.

Whatever the model, if the rows of the calibration and the new row are exchangeable, a new y lies inside with a
probability of at least the coverage :math:`c`, on average over all rows:

.. math:: s_i = \max\left(\frac{m_i - y_i}{m_i - l_i}, \frac{y_i - m_i}{u_i - m_i}\right), \qquad
          [\, m - q (m - l),\; m + q (u - m) \,]

with the model's median m and ends l, u of its own interval, and q the :math:`\lceil (n + 1) c \rceil`-th smallest of
the n scores. q = 1 means that the model was calibrated. Where y has single values of positive probability, such as
counts, :math:`s_i = \max(l_i - y_i, y_i - u_i)` is added to both ends instead.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from varbump.core.checks import check_shares, interval_tails
from varbump.predict.distribution import PredictiveDistribution

__all__ = ["check_calibration", "conformal_interval"]


def check_calibration(calibration: Any) -> tuple[Any, Any]:
    """Return the pair (X, y); a TypeError if it is no pair."""
    if not isinstance(calibration, (tuple, list)) or len(calibration) != 2:
        raise TypeError(
            f"calibration must be a pair (X, y) of rows that the model was not trained on, got "
            f"{type(calibration).__name__}"
        )
    return calibration[0], calibration[1]


def conformal_interval(
    distribution: PredictiveDistribution, coverage: Any, reference: PredictiveDistribution, observed: Any
) -> Any:
    """Interval of each row of `distribution`, widened or narrowed by what is observed at the rows of `reference`.

    Parameters
    ----------
    distribution : PredictiveDistribution
        Of N rows.
    coverage : float or sequence of float
        In (0, 1).
    reference : PredictiveDistribution
        Of the same model at the n rows of the calibration.
    observed : array-like (n,) or (n, Q)
        y at these rows.

    Returns
    -------
    ndarray (N, 2) or (N, 2, Q), or dict of them by coverage

    Raises
    ------
    ValueError
        If there are too few rows for the coverage, or y does not fit them.

    References
    ----------
    Vovk, Gammerman and Shafer (2005), "Algorithmic Learning in a Random World"; Romano, Patterson and Candès (2019),
    "Conformalized Quantile Regression"; for scores relative to the width, Sesia and Candès (2020), section 2.
    """
    coverages = check_shares(coverage, "coverage").tolist() if np.ndim(coverage) else [coverage]
    tails = [tail for each in coverages for tail in interval_tails(each)]
    ranks = [_rank(float(each), reference.num_rows) for each in coverages]
    y = reference.observed(observed)
    seen, new = (np.moveaxis(of.ppf([0.5, *tails]), 1, 0) for of in (reference, distribution))
    stretched = _stretched if next(reference.blocks())[1].is_smooth else _shifted
    made = {
        each: stretched(y.reshape(seen[0].shape), seen[[0, i, i + 1]], new[[0, i, i + 1]], rank)
        for i, each, rank in zip(range(1, len(seen), 2), coverages, ranks, strict=True)
    }
    return made if np.ndim(coverage) else made[coverage]


def _stretched(y: np.ndarray, seen: np.ndarray, new: np.ndarray, rank: int) -> np.ndarray:
    """Intervals for new rows, whose medians, lower and upper ends are `new`, from y where these are `seen`."""
    (middle, low, high), (new_middle, new_low, new_high) = seen, new
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.where(y < middle, (middle - y) / (middle - low), (y - middle) / (high - middle))
    factor = np.sort(np.where(y == middle, 0.0, score), axis=0)[rank - 1]
    return np.stack(
        [new_middle - factor * (new_middle - new_low), new_middle + factor * (new_high - new_middle)], axis=1
    )


def _shifted(y: np.ndarray, seen: np.ndarray, new: np.ndarray, rank: int) -> np.ndarray:
    """The same where y has single values of positive probability."""
    (_, low, high), (new_middle, new_low, new_high) = seen, new
    shift = np.sort(np.maximum(low - y, y - high), axis=0)[rank - 1]
    return np.stack([np.minimum(new_low - shift, new_middle), np.maximum(new_high + shift, new_middle)], axis=1)


def _rank(coverage: float, num_rows: int) -> int:
    """Rank of the score whose interval covers a new y with this probability."""
    rank = math.ceil(round((num_rows + 1) * coverage, 9))  # 20 * 0.95 is 19
    if rank > num_rows:
        raise ValueError(
            f"calibration has {num_rows} rows, too few for a coverage of {coverage:g}, which takes at least "
            f"{math.ceil(round(coverage / (1.0 - coverage), 9))}"
        )
    return rank
