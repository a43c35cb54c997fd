"""Pictures of a fit can be read at the size at which they are saved."""

from itertools import pairwise

import numpy as np
import pytest

import varbump as vb
from varbump.cli import pictures
from varbump.cli.forecasts import Forecast
from varbump.diagnostics import PartialDependence


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


def dependence_on(values, is_ordered, num_targets, scale=1.0):
    draws = np.random.default_rng(0).normal(size=(50, len(values), num_targets)) + np.arange(len(values))[:, None]
    bands = vb.credible_bands(scale * draws, levels=(0.5, 0.95), kind="epistemic")
    return PartialDependence("größe $x^2", np.asarray(values), bands, is_ordered, np.asarray(values[1:2]), 7)


@pytest.mark.parametrize("num_targets", [1, 3])
def test_columns_that_matter_less_are_seen_to(num_targets):
    """Panels of one target share their scale, and only the first has a legend."""
    days = np.array(["2024-01-01", "2024-05-01", "2025-01-01"], "datetime64[s]")
    levels = np.array([f"level {index}" for index in range(12)], object)
    curves = [
        dependence_on([1e6, 2e6, 2.5e6], True, num_targets, scale=5.0),
        dependence_on(days, True, num_targets),
        dependence_on(levels, False, num_targets),
    ]
    names = [f"target {index}" for index in range(num_targets)]
    figure = pictures.dependence(names, curves)
    figure.canvas.draw()
    assert len(figure.axes) == 3 * num_targets
    for index in range(num_targets):
        panels = figure.axes[index::num_targets]
        assert len({ax.get_ylim() for ax in panels}) == 1
        assert {ax.get_ylabel() for ax in panels} == {f"mean of target {index}"}
    low, high = figure.axes[0].get_ylim()
    ends = [side[0.95][:, 0] for curve in curves for side in (curve.bands.lower, curve.bands.upper)]
    assert low < np.concatenate(ends).min()
    assert np.concatenate(ends).max() < high
    assert [ax.get_legend() is not None for ax in figure.axes] == [True] + [False] * (3 * num_targets - 1)
    assert not labels_overlap(figure.axes[0].xaxis)
    alone = pictures.dependence(names, curves[1:2], curves)
    assert alone.axes[0].get_ylim() == (low, high)
