"""Recalibration of quantiles on a validation set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.isotonic import IsotonicRegression

from varbump.core.checks import check_shares, intervals
from varbump.predict.predictive import Predictive
from varbump.scores.scored import inputs_of, scored_of

__all__ = ["QuantileRecalibration", "RecalibratedModel", "recalibrate"]

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


class RecalibratedModel:
    """A model with corrected quantiles; the result of `varbump.recalibrate`.

    Attributes
    ----------
    model
        The model that was recalibrated. Its mean and its draws are unchanged.
    maps : tuple of QuantileRecalibration
        One for each target.
    """

    def __init__(
        self,
        model: Any,
        predictive: Predictive,
        affine: tuple[np.ndarray, np.ndarray],
        maps: tuple[QuantileRecalibration, ...],
        single_target: bool,
    ) -> None:
        self.model, self.maps = model, maps
        self._predictive, self._affine, self._single_target = predictive, affine, single_target

    def predict_quantiles(self, x: Any, quantiles: Sequence[float] = (0.05, 0.5, 0.95)) -> np.ndarray:
        """Predict recalibrated quantiles of y.

        Parameters
        ----------
        x : array-like (N, D)
            In the form that the model takes.
        quantiles : sequence of float (L,), default=(0.05, 0.5, 0.95)
            In (0, 1). Below 1 / (N + 1) and above N / (N + 1), with N validation rows, they are extrapolated.

        Returns
        -------
        ndarray (N, L) or (N, L, Q)
            Units of y; the latter if y of the validation set was two-dimensional.

        Raises
        ------
        ValueError
            If a quantile is not between 0 and 1, or x does not fit the model.
        """
        wanted = check_shares(quantiles, "quantiles")
        inputs, (shift, unit) = inputs_of(self.model, x), self._affine
        # each target has its own levels: compute all of them, then select
        levels = np.concatenate([one.level(wanted) for one in self.maps])
        parts = [mixture.first(len(inputs[rows])).ladder(levels) for rows, mixture in self._predictive.blocks(inputs)]
        values = np.concatenate(parts, axis=1).reshape(len(self.maps), len(wanted), len(inputs), -1)
        own = np.stack([values[q, :, :, q] for q in range(len(self.maps))], axis=-1)  # (L, N, Q)
        result = np.moveaxis(own, 0, 1) * unit + shift
        return result[..., 0] if self._single_target else result

    def predict_interval(self, x: Any, coverage: Any = 0.95) -> Any:
        """Predict a recalibrated equal-tailed interval for each row, or several.

        Parameters
        ----------
        x : array-like (N, D)
        coverage : float or sequence of float, default=0.95
            Probability content of the interval, in (0, 1); a sequence of them asks for several intervals at once.

        Returns
        -------
        ndarray (N, 2) or (N, 2, Q)
            Lower and upper ends, units of y. For a sequence, a dict of such arrays by coverage.

        Raises
        ------
        ValueError
            If `coverage` is not between 0 and 1, or x does not fit the model.
        """
        return intervals(coverage, lambda tails: self.predict_quantiles(x, tails))


def recalibrate(
    model: Any, x: Any, y: Any, *, likelihood: Any = None, num_draws: int = 400, seed: int | None = 0
) -> RecalibratedModel:
    """Correct the quantiles of a model on a validation set, so that its 95 % intervals contain 95 % of it.

    The correction is one monotone map of the levels for all x: it corrects the scale and shape of the noise, but not
    intervals that are too narrow in some regions and too wide in others (see `varbump.coverage_by_region`).

    Parameters
    ----------
    model, likelihood, num_draws, seed
        As in `varbump.evaluate`.
    x, y : array-like (N, D), (N,) or (N, Q)
        A validation set: rows used neither for training nor for scoring.

    Returns
    -------
    RecalibratedModel
        Has `predict_quantiles` and `predict_interval`.

    Raises
    ------
    ValueError, TypeError
        As `varbump.evaluate`; also if there are fewer than 20 rows.

    References
    ----------
    Kuleshov, Fenner and Ermon (2018), "Accurate Uncertainties for Deep Learning Using Calibrated Regression".
    """
    scored = scored_of(model, x, y, likelihood, num_draws, seed)
    if len(scored.y) < MIN_ROWS:
        raise ValueError(f"y has {len(scored.y)} rows; recalibration needs at least {MIN_ROWS}, better hundreds")
    pit = scored.predictive.pit(scored.x, (scored.y - scored.shift) / scored.unit)
    maps = tuple(QuantileRecalibration(column) for column in pit.T)
    affine = (scored.shift, scored.unit)
    return RecalibratedModel(model, scored.predictive, affine, maps, single_target=np.ndim(y) == 1)
