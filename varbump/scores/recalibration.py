"""Monotone maps of the levels of a predictive distribution, fitted on a validation set."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.isotonic import IsotonicRegression

__all__ = ["MIN_ROWS", "QuantileRecalibration"]

MIN_ROWS = 20

FARTHEST = 1e-12
"""Levels keep this distance from 0 and 1: 7 sds of a normal."""


class QuantileRecalibration:
    r"""A monotone map R of the levels of a predictive distribution, such that R(F(y)) is uniform.

    .. math:: R(p) = P(F(y | x) \le p), \quad F_{\mathrm{new}} = R \circ F, \quad
              F_{\mathrm{new}}^{-1}(\tau) = F^{-1}(R^{-1}(\tau))

    Parameters
    ----------
    pit : array-like (N,)
        F(y | x) of rows that the model was not trained on, such as `Evaluation.pit` of a validation set.

    Attributes
    ----------
    isotonic : sklearn.isotonic.IsotonicRegression
        R, fitted to the ranks of `pit`.
    num_data : int
        N.

    Raises
    ------
    ValueError
        If there are fewer than 20 rows, or values outside [0, 1].

    References
    ----------
    Kuleshov, Fenner and Ermon (2018), "Accurate Uncertainties for Deep Learning Using Calibrated Regression",
    algorithm 1.
    """

    def __init__(self, pit: Any) -> None:
        values = np.sort(np.asarray(pit, dtype=float).ravel())
        if len(values) < MIN_ROWS:
            raise ValueError(f"pit has {len(values)} rows; recalibration needs at least {MIN_ROWS}, better hundreds")
        if not ((values >= 0.0) & (values <= 1.0)).all():
            raise ValueError("pit must lie between 0 and 1")
        self.num_data = len(values)
        ranks = np.arange(1, len(values) + 1) / (len(values) + 1)
        # the ends: quantiles never go beyond the extremes of the model itself
        self.isotonic = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
        self.isotonic.fit(np.concatenate([[0.0], values, [1.0]]), np.concatenate([[0.0], ranks, [1.0]]))

    def apply(self, pit: Any) -> np.ndarray:
        """R(p), elementwise: the PIT of the recalibrated model."""
        p = np.asarray(pit, dtype=float)
        return self.isotonic.predict(p.ravel()).reshape(p.shape)

    def level(self, quantile: Any) -> np.ndarray:
        """R^-1, elementwise: the level of the model whose quantile is the recalibrated one."""
        level = np.interp(quantile, self.isotonic.y_thresholds_, self.isotonic.X_thresholds_)
        return np.clip(level, FARTHEST, 1.0 - FARTHEST)

    def slope(self, pit: Any) -> np.ndarray:
        """R'(p), elementwise: the factor of the density."""
        x, y = self.isotonic.X_thresholds_, self.isotonic.y_thresholds_
        slopes = np.diff(y) / np.diff(x)
        return slopes[np.clip(np.searchsorted(x, pit, side="right") - 1, 0, len(slopes) - 1)]

    @property
    def thresholds(self) -> np.ndarray:
        """Corners p and R(p) of the map, (2, K)."""
        return np.stack([self.isotonic.X_thresholds_, self.isotonic.y_thresholds_])

    @classmethod
    def of_thresholds(cls, thresholds: np.ndarray, num_data: int) -> QuantileRecalibration:
        """Make a map again from its corners.

        Raises
        ------
        ValueError
            If they do not increase from (0, 0) to (1, 1).
        """
        if len(thresholds[0]) < 2 or not (np.diff(thresholds) >= 0.0).all() or (np.diff(thresholds[0]) <= 0.0).any():
            raise ValueError("the corners of a recalibration must increase")
        if thresholds.min() < 0.0 or thresholds.max() > 1.0:
            raise ValueError("the corners of a recalibration must lie between 0 and 1")
        made = cls.__new__(cls)
        made.num_data, made.isotonic = num_data, IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
        made.isotonic.fit(*thresholds)
        return made
