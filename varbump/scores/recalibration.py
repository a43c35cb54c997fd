"""Quantiles that hold what they promise on a validation set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.isotonic import IsotonicRegression

from varbump.core.checks import check_shares, interval_tails
from varbump.predict.predictive import Predictive
from varbump.scores.target import inputs_of, target_of

__all__ = ["QuantileRecalibration", "RecalibratedModel", "recalibrate"]

MIN_ROWS = 20

FARTHEST = 1e-12
"""Levels stay as far away from 0 and 1: 7 sds of a normal."""


class QuantileRecalibration:
    r"""A monotone map R of the levels of a predictive distribution, such that R(F(y)) is uniform.

    .. math:: R(p) = P(F(y | x) \le p), \quad F_{\mathrm{new}} = R \circ F, \quad
              F_{\mathrm{new}}^{-1}(\tau) = F^{-1}(R^{-1}(\tau))

    Parameters
    ----------
    pit : array-like (N,)
        F(y | x) of rows that the model has not been trained with, such as `Evaluation.pit` of a validation set.

    Attributes
    ----------
    isotonic : sklearn.isotonic.IsotonicRegression
        R, fitted to the ranks of `pit`.
    num_data : int
        N.

    Raises
    ------
    ValueError
        If there are fewer than 20 rows, or values outside of [0, 1].

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
        # the ends: no model is asked for more than its own extremes
        self.isotonic = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
        self.isotonic.fit(np.concatenate([[0.0], values, [1.0]]), np.concatenate([[0.0], ranks, [1.0]]))

    def apply(self, pit: Any) -> np.ndarray:
        """R(p), elementwise: the PIT of the recalibrated model."""
        p = np.asarray(pit, dtype=float)
        return self.isotonic.predict(p.ravel()).reshape(p.shape)

    def level(self, quantile: Any) -> np.ndarray:
        """R^-1: the level to ask the model for so that the answer is this quantile, elementwise."""
        level = np.interp(quantile, self.isotonic.y_thresholds_, self.isotonic.X_thresholds_)
        return np.clip(level, FARTHEST, 1.0 - FARTHEST)


class RecalibratedModel:
    """A model whose quantiles have been corrected; the result of `varbump.recalibrate`.

    Attributes
    ----------
    model
        What was recalibrated. Its mean and its draws are not changed.
    maps : tuple of QuantileRecalibration
        Of each target.
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
        """Recalibrated quantiles of y.

        Parameters
        ----------
        x : array-like (N, D)
            As the model takes it.
        quantiles : sequence of float (L,), default=(0.05, 0.5, 0.95)
            In (0, 1). Those beyond 1 / (N + 1) and N / (N + 1) for N validation rows are guesses.

        Returns
        -------
        ndarray (N, L) or (N, L, Q)
            Units of y; the latter if the y of the validation set had columns.

        Raises
        ------
        ValueError
            If a quantile is not between 0 and 1, or x does not fit the model.
        """
        wanted = check_shares(quantiles, "quantiles")
        inputs, (shift, unit) = inputs_of(self.model, x), self._affine
        # each target has levels of its own: all are asked for, and each target takes its share
        levels = np.concatenate([one.level(wanted) for one in self.maps])
        parts = [mixture.first(len(inputs[rows])).ladder(levels) for rows, mixture in self._predictive.blocks(inputs)]
        values = np.concatenate(parts, axis=1).reshape(len(self.maps), len(wanted), len(inputs), -1)
        own = np.stack([values[q, :, :, q] for q in range(len(self.maps))], axis=-1)  # (L, N, Q)
        result = np.moveaxis(own, 0, 1) * unit + shift
        return result[..., 0] if self._single_target else result

    def predict_interval(self, x: Any, coverage: float = 0.95) -> np.ndarray:
        """Recalibrated equal-tailed interval of each row.

        Parameters
        ----------
        x : array-like (N, D)
        coverage : float, default=0.95
            Probability that it holds, in (0, 1).

        Returns
        -------
        ndarray (N, 2) or (N, 2, Q)
            Lower and upper ends, units of y.

        Raises
        ------
        ValueError
            If `coverage` is not between 0 and 1, or x does not fit the model.
        """
        return self.predict_quantiles(x, interval_tails(coverage))


def recalibrate(
    model: Any, x: Any, y: Any, *, likelihood: Any = None, num_draws: int = 400, seed: int | None = 0
) -> RecalibratedModel:
    """Correct the quantiles of a model by those of a validation set: what it calls 95 % is then 95 %.

    The correction is one monotone map of the levels for all x: it mends noise scales and shapes, not intervals that
    are too narrow here and too wide there (see `varbump.coverage_by_region`).

    Parameters
    ----------
    model, likelihood, num_draws, seed
        As in `varbump.evaluate`.
    x, y : array-like (N, D), (N,) or (N, Q)
        A validation set: rows that the model was not trained with, and that it will not be scored with.

    Returns
    -------
    RecalibratedModel
        With `predict_quantiles` and `predict_interval`.

    Raises
    ------
    ValueError, TypeError
        As `varbump.evaluate`; also if there are fewer than 20 rows.

    References
    ----------
    Kuleshov, Fenner and Ermon (2018), "Accurate Uncertainties for Deep Learning Using Calibrated Regression".
    """
    target = target_of(model, x, y, likelihood, num_draws, seed)
    if len(target.y) < MIN_ROWS:
        raise ValueError(f"y has {len(target.y)} rows; recalibration needs at least {MIN_ROWS}, better hundreds")
    pit = target.predictive.pit(target.x, (target.y - target.shift) / target.unit)
    maps = tuple(QuantileRecalibration(column) for column in pit.T)
    affine = (target.shift, target.unit)
    return RecalibratedModel(model, target.predictive, affine, maps, single_target=np.ndim(y) == 1)
