"""Credible and predictive bands: pointwise summaries of draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console

from varbump.core.checks import check_shares
from varbump.core.keras import keras
from varbump.core.kinds import check_kind, common_kind, kind_of
from varbump.core.printed import Printed, Table
from varbump.core.random import host_seed
from varbump.core.temperature import temperature_label, temperature_of
from varbump.likelihoods.checks import check_likelihood
from varbump.predict.functions import NOISE_ROWS, expected, observe
from varbump.predict.sampler import DrawSource
from varbump.predict.units import prepare

__all__ = ["Bands", "credible_bands", "predict_bands"]

ENDS_SHOWN = 4
"""Rows at either end that a printed table has."""


@dataclass(frozen=True, repr=False)
class Bands(Printed):
    """Pointwise summary of draws.

    Attributes
    ----------
    mean, sd : ndarray (N, Q)
        Mean and standard deviation of the draws, in units of y.
    lower, upper : dict of float to ndarray (N, Q)
        Ends of the equal-tailed interval of each level, in units of y.
    temperature : float
        Temperature of the training; plots say so if it is not 1.
    kind : str or None
        What the draws are of, which labels of plots mention: "epistemic" (functions), "predictive" (observations),
        "prior" or "prior predictive" (the same before any data); None if that is not known.
    """

    mean: np.ndarray
    sd: np.ndarray
    lower: dict[float, np.ndarray]
    upper: dict[float, np.ndarray]
    temperature: float = 1.0
    kind: str | None = None

    def __post_init__(self) -> None:
        check_kind(self.kind)

    def __repr__(self) -> str:
        of = "draws of unknown kind" if self.kind is None else f"{self.kind} bands"
        levels = ", ".join(f"{100 * level:.4g} %" for level in self.levels) or "none"
        return f"<{of}{temperature_label(self.temperature)}: shape {self.mean.shape}, levels {levels}>"

    @property
    def levels(self) -> tuple[float, ...]:
        """Credible levels, in increasing order."""
        return tuple(sorted(self.lower))

    def __rich_console__(self, console: Console, options: Any) -> Any:
        rows, targets = self.mean.shape if self.mean.ndim == 2 else (len(self.mean), 1)
        of = "Bands of draws of unknown kind" if self.kind is None else f"{self.kind.capitalize()} bands"
        of = f"{of}{temperature_label(self.temperature)} at {rows:,} rows"
        yield f"{of}, first of {targets} targets" if targets > 1 else of
        table = Table()
        for column in ("row", "mean", "sd", *(f"{100 * level:.4g} %" for level in self.levels)):
            table.add_column(column, justify="right")
        shown = range(rows) if rows <= 2 * ENDS_SHOWN else [*range(ENDS_SHOWN), None, *range(rows - ENDS_SHOWN, rows)]
        for row in shown:
            if row is None:
                table.add_row(*["..."] * (3 + len(self.levels)))
                continue
            ends = ((np.ravel(self.lower[c][row])[0], np.ravel(self.upper[c][row])[0]) for c in self.levels)
            values = (np.ravel(self.mean[row])[0], np.ravel(self.sd[row])[0])
            table.add_row(
                f"{row:,}", *(f"{value:.4g}" for value in values), *(f"{low:.4g} to {high:.4g}" for low, high in ends)
            )
        yield table


def credible_bands(
    draws: Any, *, levels: Sequence[float] = (0.5, 0.95), temperature: float = 1.0, kind: str | None = None
) -> Bands:
    r"""Compute the mean, standard deviation and equal-tailed intervals of draws, point by point.

    The interval of level c runs from the :math:`(1 - c) / 2` to the :math:`(1 + c) / 2` quantile of the S draws.

    Parameters
    ----------
    draws : array-like (S, N, Q) or (S, N)
        Draws of `predict_f` give epistemic bands, those of `predict_y` predictive bands; they know their kind.
    levels : sequence of float, default=(0.5, 0.95)
        Levels of the intervals, each in (0, 1).
    temperature : float, default=1.0
        Temperature of the training; plots of the bands say so if it is not 1.
    kind : {"epistemic", "predictive", "prior", "prior predictive"}, optional
        What the draws are of, if they do not know it, such as a plain array; plots then say "of the draws".

    Returns
    -------
    Bands

    Raises
    ------
    ValueError
        If a level is out of range, if there are fewer than two draws, if they are not numeric, or if they know that
        they are of another kind.

    Examples
    --------
    >>> import numpy as np
    >>> import varbump as vb
    >>> draws = np.random.default_rng(0).normal(size=(1000, 5, 1))
    >>> bands = vb.credible_bands(draws, levels=(0.5, 0.95))
    >>> bands.mean.shape, bands.lower[0.95].shape
    ((5, 1), (5, 1))
    """
    kind = common_kind(kind, getattr(draws, "kind", None), "these draws")
    levels = [float(level) for level in check_shares(levels, "levels")] if np.size(levels) else []
    draws = np.asarray(draws)
    if draws.dtype.kind not in "fiub":
        raise ValueError(f"draws must hold numbers, got dtype {draws.dtype}")
    draws = draws[..., None] if draws.ndim == 2 else draws
    if draws.ndim < 2 or len(draws) < 2:
        raise ValueError(f"draws must have shape (S, N, Q) with S of at least 2, got {draws.shape}")
    tails = sorted({round(p, 12) for level in levels for p in ((1 - level) / 2, (1 + level) / 2)})
    quantile = dict(zip(tails, np.quantile(draws, tails, axis=0), strict=True)) if levels else {}
    return Bands(
        mean=draws.mean(axis=0),
        sd=draws.std(axis=0, ddof=1),
        lower={level: quantile[round((1 - level) / 2, 12)] for level in levels},
        upper={level: quantile[round((1 + level) / 2, 12)] for level in levels},
        temperature=float(temperature),
        kind=kind,
    )


def predict_bands(
    network: keras.Model | DrawSource,
    x: Any,
    *,
    likelihood: Any = None,
    kind: str | None = None,
    levels: Sequence[float] = (0.5, 0.95),
    num_draws: int = 1000,
    seed: int | None = None,
    chunk_size: int | None = None,
) -> Bands:
    """Compute bands over any number of rows in bounded memory, reducing the draws piece by piece.

    Parameters
    ----------
    likelihood : likelihood, optional
        If given, the bands are predictive, from draws as in `predict_y`. Otherwise they are epistemic, from draws as
        in `predict_f`, for all outputs of the network. A network for `varbump.likelihoods.HeteroscedasticNormal` has
        2 Q: the first Q columns are bands of the function, the others of raw scales of the noise. A network that ends
        in a distribution of y gets bands of its mean.
    kind : {"epistemic", "predictive"}, optional
        Which bands, if not the ones above. "predictive" is enough for an ensemble, a `VariationalRegressor` and a
        network that ends in a distribution of y, which have their own likelihood; "epistemic" with a likelihood gives
        bands of E[y | f].
    network, x, num_draws, seed
        As in `predict_f`; bands of a `VariationalRegressor` are in the units of its y.
    chunk_size : int, optional
        As in `predict_f`; for predictive bands rounded up to a multiple of 256. It does not affect the draws: bands
        differ by the rounding errors of f at most.
    levels : sequence of float
        As in `credible_bands`.

    Returns
    -------
    Bands
        Of the kind "epistemic" or "predictive"; for draws of `varbump.sample_prior`, "prior" or "prior predictive".

    Raises
    ------
    ValueError, TypeError
        As `predict_f` and `credible_bands`; also if bands are to be predictive and the likelihood is missing.
    """
    if kind not in (None, "epistemic", "predictive"):
        raise ValueError(f"kind must be 'epistemic' or 'predictive', got {kind!r}")
    if likelihood is not None:
        check_likelihood(likelihood, *(["mean"] if kind == "epistemic" else []))
    observed = likelihood is not None if kind is None else kind == "predictive"
    seed = host_seed(seed)
    ready = prepare(network, x, num_draws, seed, chunk_size, likelihood)
    if observed or ready.answers_in_y:
        likelihood = ready.likelihood(likelihood)
    parts = []
    for rows, draws in ready.sampler.chunks(ready.x, NOISE_ROWS if observed else 1):
        if observed:
            draws = observe(ready.source, likelihood, draws, seed, rows.start)
        elif likelihood is not None:
            draws = expected(ready.source, likelihood, draws)
        parts.append(credible_bands(ready.in_units(draws), levels=levels))
    return Bands(
        mean=np.concatenate([part.mean for part in parts]),
        sd=np.concatenate([part.sd for part in parts]),
        lower={level: np.concatenate([part.lower[level] for part in parts]) for level in parts[0].lower},
        upper={level: np.concatenate([part.upper[level] for part in parts]) for level in parts[0].upper},
        temperature=temperature_of(ready.source),
        kind=kind_of(ready.source, observed=observed),
    )
