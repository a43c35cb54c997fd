"""Scores of a model on held-out data, and what they say about its intervals."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from rich.console import Console

from varbump.core.checks import check_count
from varbump.core.printed import Printed, Table
from varbump.scores.band import simultaneous_band
from varbump.scores.pit import PITHistogram

__all__ = ["Evaluation"]

CONFIDENCE = 0.999
"""Confidence of the band that coverage is compared with: one calibrated model in a thousand is flagged."""

MAX_LEVELS_SHOWN = 7
SHOWN = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95)


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation(Printed):
    """Scores on held-out data; printed, a table with a sentence of judgement.

    With several targets each attribute except `log_likelihood` and `pit` is the mean over them, which mixes their
    units; `targets` holds the scores of each.

    Attributes
    ----------
    num_data : int
        N, rows.
    num_draws : int
        S, components of the predictive mixture.
    rmse : float
        Root mean square error of the predictive mean, units of y.
    log_likelihood : float
        Mean log predictive density, nats per row, of a density in the units of y, or log probability of counts; jointly
        over targets.
    crps : float
        Mean continuous ranked probability score, units of y; smaller is better.
    interval_score : dict of float to float
        Mean interval score by level, units of y; smaller is better.
    coverage : dict of float to float
        Fraction of y inside the equal-tailed interval of each level. For counts, by the randomised PIT, which
        contains what the level says for a calibrated model; intervals that end in whole numbers contain as much or
        more.
    coverage_interval : dict of float to (float, float)
        Exact binomial 95 % interval (Clopper-Pearson) of the coverage. With several targets, whose misses may be
        correlated, it is computed for N observations.
    pit : ndarray (N, Q)
        Probability integral transform F(y | x): uniform on [0, 1] for a calibrated model. Randomised for counts and
        at atoms, where F jumps: F(y) - (1 - u) P(y) with a uniform u that the row decides.
    sharpness : dict of float to float
        Mean width of the intervals by level, units of y.
    epistemic_share : float
        Mean variance of E[y | w] over the draws of w, as a share of the mean total variance: by the law of total
        variance, the rest is noise.
    targets : tuple of Evaluation
        Scores of each target, if there are several.
    temperature : float
        Temperature at which the model was trained.
    num_tests : int
        Number of targets judged together: the band of each is widened so that the level of all together is 99.9 %.
    """

    num_data: int
    num_draws: int
    rmse: float
    log_likelihood: float
    crps: float
    interval_score: dict[float, float]
    coverage: dict[float, float]
    coverage_interval: dict[float, tuple[float, float]]
    pit: np.ndarray
    sharpness: dict[float, float]
    epistemic_share: float
    targets: tuple[Evaluation, ...] = ()
    temperature: float = 1.0
    num_tests: int = 1

    @property
    def levels(self) -> tuple[float, ...]:
        """Nominal levels of the intervals, increasing."""
        return tuple(self.coverage)

    @cached_property
    def band(self) -> dict[float, tuple[float, float]]:
        """Range of the coverage at each level; a calibrated model is inside at ALL levels with probability 99.9 %."""
        confidence = 1.0 - (1.0 - CONFIDENCE) / self.num_tests
        low, high = simultaneous_band(self.levels, self.num_data, confidence)
        return {level: (float(a), float(b)) for level, a, b in zip(self.levels, low, high, strict=True)}

    @property
    def calibrated(self) -> bool:
        """Whether coverage lies inside the band at every level, for every target."""
        if self.targets:
            return all(target.calibrated for target in self.targets)
        return not any(self._misses)

    @property
    def judgement(self) -> str:
        """Verdict on the intervals, in a sentence or two."""
        if not self.targets:
            return " ".join(self._finding)
        bad = {i: target._finding for i, target in enumerate(self.targets) if not target.calibrated}
        if not bad:
            return f"Coverage of all {len(self.targets)} targets is what calibrated intervals give by chance."
        advice = dict.fromkeys(finding[1] for finding in bad.values())  # once each, in this order
        return " ".join([*(f"Target {i}: {finding[0]}" for i, finding in bad.items()), *advice])

    @property
    def _finding(self) -> tuple[str, str]:
        """The finding, and what can be done about it."""
        narrow, wide = self._misses
        if narrow and wide:
            return (
                f"The noise has another shape than the likelihood's: {self._said(narrow, 'too narrow')}, "
                f"{self._said(wide, 'too wide')}.",
                "Try another likelihood (StudentT for heavy tails, HeteroscedasticNormal where the noise changes with "
                "x), or recalibrate.",
            )
        if narrow:
            return (
                f"Intervals are {self._said(narrow, 'too narrow')}.",
                "The noise scale is too small, the posterior too sure, or the mean wrong: learn the noise scale, pool "
                "an ensemble, or recalibrate.",
            )
        if wide:
            return (
                f"Intervals are {self._said(wide, 'too wide')}.",
                "The noise scale is too large or training has not ended: learn the noise scale, train longer, or "
                "recalibrate.",
            )
        room = max(high - low for low, high in self.band.values()) / 2.0
        return (
            f"Coverage at all {len(self.levels)} levels is what calibrated intervals give by chance;",
            f"with {self.num_data:,} rows, misses of up to {100 * room:.2g} points cannot be told from chance.",
        )

    def _said(self, levels: list[float], what: str) -> str:
        """For instance "too narrow at 3 of 19 levels (95 % intervals hold 71.2 %)"; the largest miss is quoted."""
        worst = max(levels, key=lambda level: abs(self.coverage[level] - level))
        held = f"{100 * worst:.4g} % intervals hold {100 * self.coverage[worst]:.1f} %"
        return f"{what} at {len(levels)} of {len(self.levels)} levels ({held} of the data)"

    def pit_histogram(self, num_bins: int = 20, *, target: int = 0) -> PITHistogram:
        """Histogram of the PIT of one target, with the band that contains all bars of a calibrated model.

        Parameters
        ----------
        num_bins : int, default=20
        target : int, default=0
            Which column of y.

        Raises
        ------
        ValueError
            If there is no such target, or no bin.
        """
        num_bins, target = check_count(num_bins, "num_bins"), check_count(target, "target", 0)
        if target >= self.pit.shape[1]:
            raise ValueError(f"target must be below {self.pit.shape[1]}, the number of targets, got {target}")
        return PITHistogram.of(self.pit[:, target], num_bins)

    @property
    def _misses(self) -> tuple[list[float], list[float]]:
        """Levels at which coverage lies below the band, and above it."""
        narrow = [level for level in self.levels if self.coverage[level] < self.band[level][0]]
        wide = [level for level in self.levels if self.coverage[level] > self.band[level][1]]
        return narrow, wide

    def __rich_console__(self, console: Console, options: Any) -> Any:
        columns = [("all", self), *((f"target {i}", target) for i, target in enumerate(self.targets))]
        scores = Table(title="Scores on held-out data", title_justify="left", show_header=len(columns) > 1)
        scores.add_column("")
        for name, _ in columns:
            scores.add_column(name, justify="right")
        for name, value in (
            ("RMSE, units of y", "rmse"),
            ("log-likelihood, nats a row", "log_likelihood"),
            ("CRPS, units of y", "crps"),
            ("epistemic share of the variance", "epistemic_share"),
        ):
            form = "{:.1%}" if value == "epistemic_share" else "{:.4g}"
            scores.add_row(name, *(form.format(getattr(evaluation, value)) for _, evaluation in columns))
        yield scores
        table = Table(title="Intervals: level and coverage in %, width and score in units of y", title_justify="left")
        for column in ("level", "coverage", "95 % interval", "99.9 % band", "mean width", "mean score"):
            table.add_column(column, justify="right")
        for level in self._shown:
            low, high = self.coverage_interval[level]
            table.add_row(
                f"{100 * level:.4g}",
                f"{100 * self.coverage[level]:.1f}",
                f"{100 * low:.1f} to {100 * high:.1f}",
                "{:.1f} to {:.1f}".format(*(100 * end for end in self.band[level])),
                f"{self.sharpness[level]:.4g}",
                f"{self.interval_score[level]:.4g}",
            )
        yield table
        yield f"{self.num_data:,} rows, {self.num_draws:,} draws of the function.\n"
        yield self.judgement
        if self.temperature != 1.0:
            yield (
                f"Trained at temperature {self.temperature:.3g}: this is not the Bayesian posterior, whose temperature "
                f"is 1."
            )

    @property
    def _shown(self) -> list[float]:
        if len(self.levels) <= MAX_LEVELS_SHOWN:
            return list(self.levels)
        known = [level for level in SHOWN if level in self.coverage]
        return known or list(self.levels[:: -(-len(self.levels) // MAX_LEVELS_SHOWN)])
