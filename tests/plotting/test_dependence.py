"""Plots of partial dependence show the numbers they are given."""

import numpy as np
import pytest

import varbump as vb
from varbump.diagnostics import PartialDependence


def made(values, is_ordered, observed):
    draws = np.random.default_rng(0).normal(size=(50, len(values), 2)) + np.arange(len(values))[:, None]
    bands = vb.credible_bands(draws, levels=(0.5, 0.9), kind="epistemic")
    return PartialDependence("size", np.asarray(values), bands, is_ordered, np.asarray(observed), 7)


def test_numbers_make_a_curve_with_ticks_where_the_data_are():
    found = made([0.0, 1.0, 3.0], True, [0.1, 0.2, 2.5])
    shown = vb.PartialDependenceDisplay(found, output=1).plot()
    ax = shown.ax_
    mean, ticks = ax.get_lines()[-2], ax.get_lines()[-1]
    np.testing.assert_array_equal(mean.get_xdata(), found.values)
    np.testing.assert_array_equal(mean.get_ydata(), found.bands.mean[:, 1])
    np.testing.assert_array_equal(ticks.get_xdata(), found.observed)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("size", "mean of y")
    assert "90 % epistemic" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_levels_make_points_with_intervals():
    found = made(np.array(["red", "a level with a long name"], object), False, ["red"])
    ax = vb.PartialDependenceDisplay(found).plot().ax_
    assert [label.get_text() for label in ax.get_xticklabels()] == ["red", "a level with a …"]
    widest = ax.collections[0].get_segments()
    np.testing.assert_allclose(
        [segment[:, 1] for segment in widest],
        np.stack([found.bands.lower[0.9][:, 0], found.bands.upper[0.9][:, 0]], axis=1),
    )
    np.testing.assert_array_equal(ax.get_lines()[0].get_ydata(), found.bands.mean[:, 0])


def test_dates_are_short():
    days = np.datetime64("2024-01-01") + np.arange(0, 700, 100)
    ax = vb.PartialDependenceDisplay(made(days, True, days)).plot().ax_
    ax.figure.canvas.draw()
    assert max(len(label.get_text()) for label in ax.get_xticklabels()) <= 4


def test_what_it_refuses():
    with pytest.raises(TypeError, match="dependence must be what varbump.partial_dependence returns"):
        vb.PartialDependenceDisplay(3)
    with pytest.raises(ValueError, match="output must be a column of y, from 0 to 1"):
        vb.PartialDependenceDisplay(made([0.0, 1.0], True, [0.0]), output=2)
