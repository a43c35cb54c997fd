"""Report on the candidates of a regressor: how well each predicts rows that it has not seen, and what it weighs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape

from varbump.core.printed import Printed, Table

__all__ = ["StackingReport", "hint_for"]

SKEWED = 1.0
"""Skewness of positive y from which a likelihood for positive y is worth a try."""

MANY_VALUES = 0.5
"""Share of distinct values among the rows from which whole numbers are no counts, but a rounded measurement."""


@dataclass(frozen=True, repr=False)
class StackingReport(Printed):
    """Candidates of a regressor and their weights; prints as a table.

    Attributes
    ----------
    names : tuple of str (C,)
        Hidden units, noise, and embedding of each candidate.
    weights : ndarray (C,)
        Weights in the pool, which add up to 1; 0 for those that were dropped.
    log_density : ndarray (C, M)
        Log density of each candidate at y of M rows that it was not trained with, nats, units of y.
    pooled : ndarray (M,)
        That of the pool, which is slightly optimistic: weights and factor were chosen for these rows.
    row_weights : ndarray (M,)
        Weights of the rows.
    hint : str
        What else y suggests; "" if nothing.
    noise_factor : float
        The noise of the pool in units of that of its candidates, which have learned their own errors as noise.
    noise_tail : float
        Inverse degrees of freedom of Student's t, whose shape the noise has; 0 for normal noise.
    """

    names: tuple[str, ...]
    weights: np.ndarray
    log_density: np.ndarray
    pooled: np.ndarray
    row_weights: np.ndarray
    hint: str = ""
    noise_factor: float = 1.0
    noise_tail: float = 0.0

    @property
    def log_likelihood(self) -> np.ndarray:
        """Mean held-out log density of each candidate (C,), nats per row; nan if no rows were held out."""
        return np.array([self._mean(row) for row in self.log_density])

    @property
    def differences(self) -> tuple[np.ndarray, np.ndarray]:
        """Held-out log density of each candidate less that of the pool, with its standard error, (C,) nats per row."""
        pairs = [self._mean_and_error(row - self.pooled) for row in self.log_density]
        return np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs])

    @property
    def _shape(self) -> str:
        if not self.noise_tail:
            return ""
        return f", with the tails of Student's t with {1.0 / self.noise_tail:.1f} degrees of freedom"

    def _mean(self, values: np.ndarray) -> float:
        return float(np.average(values, weights=self.row_weights)) if len(values) else float("nan")

    def _mean_and_error(self, values: np.ndarray) -> tuple[float, float]:
        if len(values) < 2:
            return float("nan"), float("nan")
        share = self.row_weights / self.row_weights.sum()
        mean = float(share @ values)
        return mean, float(np.sqrt(np.sum(share**2 * (values - mean) ** 2)))

    def __rich_console__(self, console: Console, options: Any) -> Any:
        table = Table(title="Candidates", title_justify="left")
        table.add_column("hidden units, noise, embedding")
        for column in ("weight", "held-out log-likelihood", "less that of the pool"):
            table.add_column(column, justify="right")
        rows = zip(self.names, self.weights, self.log_likelihood, *self.differences, strict=True)
        for name, weight, value, difference, error in sorted(rows, key=lambda row: -row[1]):
            table.add_row(escape(name), f"{weight:.2f}", f"{value:.3f}", f"{difference:.3f} ± {error:.3f}")
        table.add_section()
        table.add_row("pool", "1.00", f"{self._mean(self.pooled):.3f}", "")
        yield table
        if len(self.pooled):
            yield f"In nats per row, on {len(self.pooled):,} rows, each predicted by a member that has not seen it."
            yield f"The noise of the pool is {self.noise_factor:.2f} of what its candidates have learned{self._shape}."
        else:
            yield "There were too few rows to hold some out: all candidates weigh the same."
        if self.hint:
            yield self.hint


def hint_for(y: np.ndarray) -> str:
    """Suggest a likelihood that y (N, Q) look made for; "" if none."""
    if not (y >= 0.0).all() or not (y.std(axis=0) > 0.0).all():
        return ""
    num_values = max(len(np.unique(column)) for column in y.T)
    if (y == np.round(y)).all() and num_values <= max(MANY_VALUES * len(y), 2):
        return 'y are whole numbers: if they are counts, try likelihood="poisson" or "negative_binomial".'
    centred = y - y.mean(axis=0)
    skewness = np.mean(centred**3, axis=0) / y.std(axis=0) ** 3
    if (y > 0.0).all() and (skewness > SKEWED).all():
        return 'y are positive and skewed: try likelihood="log_normal" or "gamma".'
    return ""
