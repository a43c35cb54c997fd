"""Pictures of calibration compared by what they draw."""

import matplotlib.pyplot as plt
import numpy as np
from made_up import LEVELS, evaluation
from scipy import stats

import varbump as vb


def ends(collection):
    return np.array([segment[:, 1] for segment in collection.get_segments()])


def test_calibration_is_drawn_where_it_is():
    made = evaluation()
    display = vb.CalibrationDisplay(made).plot()
    np.testing.assert_allclose(display.line_.get_xydata(), [[25, 30], [50, 50], [90, 80]])
    np.testing.assert_allclose(ends(display.bars_), [[20, 35], [40, 55], [70, 85]])
    vertices = display.band_.get_paths()[0].vertices
    for level in LEVELS:
        at = vertices[np.isclose(vertices[:, 0], 100 * level), 1]
        np.testing.assert_allclose([at.min(), at.max()], 100 * np.array(made.band[level]))
    np.testing.assert_array_equal(display.diagonal_.get_xydata(), [[0, 0], [100, 100]])
    labels = display.ax_.get_legend_handles_labels()[1]
    assert labels == ["chance, 99.9 %", "calibrated", "observed"]
    assert display.ax_.get_xlabel() == "nominal level of the interval, %"


def test_a_model_outside_of_the_band_looks_another_way():
    good, bad = evaluation((0.25, 0.5, 0.9)), evaluation((0.1, 0.2, 0.5))
    assert good.calibrated
    assert not bad.calibrated
    lines = [vb.CalibrationDisplay(made).plot().line_ for made in (good, bad)]
    assert lines[0].get_color() != lines[1].get_color()
    assert lines[0].get_marker() != lines[1].get_marker()


def test_pit_is_drawn_with_its_band():
    made = evaluation()
    display = vb.PITDisplay(made, num_bins=10).plot()
    heights = [bar.get_height() for bar in display.bars_]
    counts, edges = np.histogram(made.pit, bins=10, range=(0, 1))
    np.testing.assert_allclose(heights, counts / 40)
    np.testing.assert_allclose([bar.get_x() for bar in display.bars_], edges[:-1])
    tail = 0.05 / 10 / 2
    expected = stats.binom.ppf([tail, 1 - tail], 400, 0.1) / 40
    box = display.band_.get_extents().transformed(display.ax_.transData.inverted())
    np.testing.assert_allclose([box.y0, box.y1], expected)
    assert "chance, all bars, 95 %" in display.ax_.get_legend_handles_labels()[1]
    assert display.ax_.get_ylim()[1] > max(heights)


def test_coverage_by_region():
    x = np.stack([np.zeros(400), np.arange(400.0)], axis=1)
    regions = vb.coverage_by_region(evaluation(), x, feature=1, level=0.5, num_bins=4)
    display = vb.CoverageByRegionDisplay(regions).plot()
    np.testing.assert_allclose(display.line_.get_xdata(), 0.5 * (regions.edges[1:] + regions.edges[:-1]))
    np.testing.assert_allclose(display.line_.get_ydata(), 100 * regions.coverage)
    np.testing.assert_allclose(ends(display.bars_), 100 * np.stack([regions.low, regions.high], 1))
    np.testing.assert_allclose(display.level_.get_ydata(), [50, 50])
    assert display.ax_.get_xlabel() == "x1"
    assert "nominal, 50 %" in display.ax_.get_legend_handles_labels()[1]
    same = vb.coverage_by_region(evaluation(), np.ones(400))
    np.testing.assert_allclose(vb.CoverageByRegionDisplay(same).plot().line_.get_ydata(), 100 * same.coverage)


def test_axes_are_taken_and_self_returned():
    made = evaluation()
    regions = vb.coverage_by_region(made, np.arange(400))
    for display in (vb.CalibrationDisplay(made), vb.PITDisplay(made), vb.CoverageByRegionDisplay(regions)):
        _, ax = plt.subplots()
        assert display.plot(ax) is display
        assert display.ax_ is ax
        display.plot(ax)  # again, from what is held
