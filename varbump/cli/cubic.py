"""The demonstration: a cubic whose noise grows with x, and bands inside and outside the data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from varbump.cli.forecasts import LEVELS, forecast
from varbump.cli.learning import learn
from varbump.cli.pictures import save_picture
from varbump.data.datasets import cubic
from varbump.plotting import BandsDisplay
from varbump.plotting.style import GREY, INK, finish

__all__ = ["Drawn", "fit_cubic"]

NUM_DATA, MAX_ITER = 500, 700

ENDS = (-2.0, 3.0)


class Drawn(NamedTuple):
    """The fit as a picture, a report and a sentence."""

    figure: Figure
    report: Any
    words: str
    numbers: dict[str, float]

    def save(self, path: Path) -> None:
        """Write the picture."""
        save_picture(self.figure, path)


def fit_cubic(seed: int, *, verbose: int) -> Drawn:
    """Fit a heteroscedastic regressor to the cubic and draw its bands."""
    x, y = cubic(NUM_DATA, seed=seed)
    x, y = np.asarray(x, float).reshape(-1, 1), np.asarray(y, float).reshape(-1, 1)
    options = {
        "hidden_layer_sizes": (16, 16),
        "posterior": "full_covariance",
        "prior": "normal",
        "likelihood": "heteroscedastic",
        "embedding": None,
        "max_iter": MAX_ITER,
        "random_state": seed,
        "verbose": verbose,
    }
    model = learn(options, x, y)
    grid = np.linspace(*ENDS, 201)[:, None]
    predicted = forecast(model, grid, LEVELS)
    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    ax = figure.subplots()
    ax.plot(x, y, "o", color=INK, markersize=2.4, alpha=0.45, markeredgewidth=0, label=f"{NUM_DATA} points")
    BandsDisplay(grid, predicted.bands).plot(ax)
    ax.plot(grid, grid**3, color=GREY, linewidth=1.2, linestyle="--", label="x³")
    low, high = float(x.min()), float(x.max())
    ax.axvspan(low, high, color=GREY, alpha=0.08, linewidth=0)
    finish(ax, "x (grey: where there are data)", "y", {"loc": "upper left"})
    inside = (grid[:, 0] >= low) & (grid[:, 0] <= high)
    numbers = {
        "epistemic_sd_inside": float(predicted.epistemic_sd[inside].mean()),
        "epistemic_sd_left_end": float(predicted.epistemic_sd[0, 0]),
        "epistemic_sd_right_end": float(predicted.epistemic_sd[-1, 0]),
    }
    words = (
        "Uncertainty of the curve (epistemic sd): {:.2g} among the data, {:.2g} at x = {:g} and {:.2g} at x = {:g}, "
        "where there are none. A wide band is a warning there, not a bound.".format(
            numbers["epistemic_sd_inside"],
            numbers["epistemic_sd_left_end"],
            ENDS[0],
            numbers["epistemic_sd_right_end"],
            ENDS[1],
        )  # fmt: skip
    )
    return Drawn(figure, replace(model.parameter_report_, relevance=None), words, numbers)
