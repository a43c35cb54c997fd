"""Predictive distribution of the rows of a table, with the methods of a frozen distribution of SciPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from numbers import Integral
from typing import Any

import numpy as np

from varbump.core.checks import check_array, check_shares, intervals
from varbump.core.random import generator
from varbump.predict.predictive import Predictive

__all__ = ["PredictiveDistribution"]


class PredictiveDistribution:
    r"""Predictive distribution of y at each row: a mixture over draws of the weights, in the units of y.

    .. math:: F(y | x) = \tfrac1S \sum_s F(y | f(x; w_s))

    The result of `varbump.predict_dist` and of the method of a regressor. Rows are processed in blocks whenever a
    method is called, so memory is bounded. If the model was fitted to a one-dimensional y, results have no axis Q.

    Parameters
    ----------
    predictive : Predictive
    inputs : ndarray (N, D)
        Rows as `predictive` takes them.
    shift, unit : ndarray (Q,) or float
        ``shift + unit * z`` is in the units of y where z is in those of `predictive`.
    single_target : bool, default=False
        Whether to drop the axis of targets from results.
    given : array-like (N, D), optional
        Rows in the user's units.
    wraps : sequence of callable
        Applied in turn to the mixture of each block of rows, with their indices.

    Attributes
    ----------
    predictive, inputs, given
    num_rows : int
        N.
    """

    def __init__(
        self,
        predictive: Predictive,
        inputs: np.ndarray,
        shift: np.ndarray | float,
        unit: np.ndarray | float,
        *,
        single_target: bool = False,
        given: Any = None,
        wraps: Sequence[Callable[[Any, slice], Any]] = (),
    ) -> None:
        self.predictive, self.inputs, self.given = predictive, inputs, inputs if given is None else given
        self._shift, self._unit, self._single_target = np.asarray(shift), np.asarray(unit), single_target
        self._wraps, self.num_rows = tuple(wraps), len(inputs)

    @cached_property
    def num_targets(self) -> int:
        """Q, the number of targets."""
        return self._unit.size if self._unit.ndim else next(self.blocks())[1].moments()[0].shape[-1]

    def cdf(self, y: Any) -> np.ndarray:
        """Probability of at most y for each row, (N,) or (N, Q).

        Parameters
        ----------
        y : float or array-like (N,) or (N, Q)
            Units of y.

        Raises
        ------
        ValueError
            If y is not finite or does not fit the rows.
        """
        y = self.observed(y)
        return self._rows(lambda rows, mixture: mixture.cdf(y[rows]))

    def log_pdf(self, y: Any) -> np.ndarray:
        """Log density at y, or log probability of counts, (N,): nats, jointly over targets, for y in its units.

        Parameters
        ----------
        y : float or array-like (N,) or (N, Q)

        Raises
        ------
        ValueError
            If y is not finite or does not fit the rows.
        """
        y = self.observed(y)
        return np.concatenate(self._each(lambda rows, mixture: mixture.log_density(y[rows])))

    def ppf(self, quantiles: Any) -> np.ndarray:
        """Quantiles of y for each row; for counts, the smallest y whose `cdf` is at least the level.

        Parameters
        ----------
        quantiles : float or sequence of float (L,)
            Levels in (0, 1).

        Returns
        -------
        ndarray (N, L) or (N, L, Q)
            Units of y; without the axis L if `quantiles` is a single number.

        Raises
        ------
        ValueError
            If a level is not between 0 and 1.
        """
        levels = check_shares(quantiles, "quantiles")
        values = self._rows(lambda _, mixture: np.stack([mixture.quantile(level) for level in levels], axis=1))
        return values[:, 0] if np.ndim(quantiles) == 0 else values

    def interval(self, coverage: Any = 0.95) -> Any:
        """Equal-tailed interval of each row, (N, 2) or (N, 2, Q), units of y; for a sequence, a dict by coverage.

        Parameters
        ----------
        coverage : float or sequence of float, default=0.95
            Probability content, in (0, 1).

        Raises
        ------
        ValueError
            If `coverage` is not between 0 and 1.
        """
        return intervals(coverage, self.ppf)

    def mean(self) -> np.ndarray:
        """Mean of y, (N,) or (N, Q), units of y."""
        return self._rows(lambda _, mixture: mixture.moments()[0])

    def std(self) -> np.ndarray:
        """Standard deviation of y, noise included, (N,) or (N, Q), units of y."""
        return self._rows(lambda _, mixture: mixture.moments()[1])

    def rvs(self, size: int = 1, random_state: Any = None) -> np.ndarray:
        """Draw y at each row, independently of the other rows.

        `VariationalRegressor.sample_y` draws whole functions instead, whose rows depend on each other.

        Parameters
        ----------
        size : int, default=1
            Number of draws for each row.
        random_state : int, optional
            Seed; if omitted, each call draws anew.

        Returns
        -------
        ndarray (N, size) or (N, Q, size)
            Units of y.

        Raises
        ------
        ValueError
            If `size` is not a positive integer.
        """
        if isinstance(size, bool) or not isinstance(size, Integral) or size < 1:
            raise ValueError(f"size must be an integer of at least 1, got {size!r}")
        seeded = np.random.default_rng() if random_state is None else generator(random_state, 7)
        drawn = np.concatenate([_independent(mixture, int(size), seeded) for _, mixture in self.blocks()], axis=1)
        return drawn[..., 0].T if self._single_target else np.moveaxis(drawn, 0, -1)

    def blocks(self) -> Iterator[tuple[slice, Any]]:
        """Yield blocks of rows: their indices, and their mixture in the units of y."""
        return (self._in_units(*block) for block in self.predictive.blocks(self.inputs))

    def through(self, wrap: Callable[[Any, slice], Any], single_target: bool) -> PredictiveDistribution:
        """The distribution whose mixture of a block of rows is ``wrap(mixture, rows)``."""
        return PredictiveDistribution(
            self.predictive,
            self.inputs,
            self._shift,
            self._unit,
            single_target=single_target,
            given=self.given,
            wraps=(*self._wraps, wrap),
        )

    def _rows(self, of: Callable[[slice, Any], np.ndarray]) -> np.ndarray:
        values = np.concatenate(self._each(of))
        return values[..., 0] if self._single_target else values

    def _each(self, of: Callable[[slice, Any], np.ndarray]) -> list[np.ndarray]:
        """Results of `of(rows, mixture)` for each block of rows, in order, by several threads."""
        return self.predictive.each(self.inputs, lambda padded, mixture: of(*self._in_units(padded, mixture)))

    def _in_units(self, padded: slice, mixture: Any) -> tuple[slice, Any]:
        """Rows of a block without its padding, and their mixture in the units of y."""
        rows = slice(padded.start, min(padded.stop, self.num_rows))
        mixture = mixture.first(rows.stop - rows.start).affine(self._shift, self._unit)
        for wrap in self._wraps:
            mixture = wrap(mixture, rows)
        return rows, mixture

    def observed(self, y: Any) -> np.ndarray:
        """Return observations of these rows, or one number for all, (N, Q); a ValueError if they do not fit."""
        shape = (self.num_rows, self.num_targets)
        array = np.asarray(y)
        if array.ndim == 0:
            array = np.full(shape, array[()])
        array = check_array(array, "y", "float64")
        if array.shape != shape:
            raise ValueError(f"y must be a number or have shape {shape}, got {np.shape(y)}")
        return array


def _independent(mixture: Any, size: int, seeded: np.random.Generator) -> np.ndarray:
    """Independent draws (size, B, Q): each picks a component, the same for all targets of a row.

    `sample` draws every component once; it is called as often as the component that a row picks most often.
    """
    first = mixture.sample(seeded)
    num_components, num_rows, _ = first.shape
    picked = seeded.integers(num_components, size=(size, num_rows))
    times, counts, columns = np.empty_like(picked), np.zeros((num_components, num_rows), int), np.arange(num_rows)
    for j in range(size):
        times[j] = counts[picked[j], columns]
        counts[picked[j], columns] += 1
    result = np.empty((size, *first.shape[1:]))
    for time in range(int(counts.max())):
        draws = first if time == 0 else mixture.sample(seeded)
        which, row = np.nonzero(times == time)
        result[which, row] = draws[picked[which, row], row]
    return result
