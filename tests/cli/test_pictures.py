"""Pictures of a fit can be read at the size at which they are saved."""

from itertools import pairwise

import numpy as np
import pytest

from varbump.cli import pictures
from varbump.cli.forecasts import Forecast


def forecast_of(mean):
    sd = np.full(mean.shape, mean.std() + 1e-3)
    return Forecast(mean, sd, sd, {0.5: mean - sd, 0.95: mean - 2 * sd}, {0.5: mean + sd, 0.95: mean + 2 * sd})


def labels_overlap(axis):
    boxes = [label.get_window_extent() for label in axis.get_ticklabels() if label.get_text()]
    return any(left.x1 + 3.0 > right.x0 for left, right in pairwise(sorted(boxes, key=lambda box: box.x0)))


@pytest.mark.parametrize("num_targets", [1, 4])
@pytest.mark.parametrize(("centre", "spread"), [(-1e4, 300.0), (1.25e6, 2e5), (0.0, 2e-4), (-1.5, 0.06), (1e9, 1e3)])
def test_tick_labels_stay_apart(num_targets, centre, spread):
    y = centre + spread * np.random.default_rng(0).normal(size=(100, num_targets))
    grid = np.linspace(centre - 4 * spread, centre + 4 * spread, 11)
    names = [f"target {index}" for index in range(num_targets)]
    along = forecast_of(np.repeat(grid[:, None], num_targets, 1))
    for figure in (
        pictures.observed(names, y, forecast_of(y)),
        pictures.band("x", names, grid, along, y[:, 0], y, alone=True),
    ):
        figure.canvas.draw()
        assert not any(labels_overlap(ax.xaxis) for ax in figure.axes)
