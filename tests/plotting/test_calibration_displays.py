"""Pictures of calibration compared by what they draw."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy import stats

import varbump as vb
from varbump.scores import PITHistogram, RegionCoverage

LEVELS = (0.25, 0.5, 0.9)


def evaluation(coverage=(0.3, 0.5, 0.8), num=400):
    """Made of stated numbers; its PIT is a valley."""
    by_level = dict(zip(LEVELS, coverage, strict=True))
    return vb.Evaluation(
        num_data=num,
        num_draws=7,
        rmse=1.0,
        log_likelihood=-1.0,
        crps=0.5,
        interval_score=by_level,
        coverage=by_level,
        coverage_interval={level: (value - 0.1, value + 0.05) for level, value in by_level.items()},
        pit=np.linspace(0, 1, num)[:, None] ** 2,
        sharpness=by_level,
        epistemic_share=0.1,
    )


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


def test_band_of_the_pit_holds_all_bars_of_a_calibrated_model():
    generator = np.random.default_rng(0)
    held = []
    for _ in range(2000):
        made = PITHistogram.of(generator.uniform(size=200), 10)
        held.append((made.density >= made.low).all() and (made.density <= made.high).all())
    assert np.mean(held) > 0.94  # at least 95 %, known to 0.5 %


def test_coverage_by_region():
    made = evaluation()
    x = np.stack([np.zeros(400), np.arange(400.0)], axis=1)
    regions = vb.coverage_by_region(made, x, feature=1, level=0.5, num_bins=4)
    inside = np.abs(2 * made.pit[:, 0] - 1) <= 0.5
    np.testing.assert_array_equal(regions.counts, [100] * 4)
    np.testing.assert_allclose(regions.coverage, inside.reshape(4, 100).mean(1))
    np.testing.assert_allclose(
        (regions.low[1], regions.high[1]), stats.binomtest(int(inside[100:200].sum()), 100).proportion_ci(0.95, "exact")
    )
    display = vb.CoverageByRegionDisplay(regions).plot()
    np.testing.assert_allclose(display.line_.get_xdata(), 0.5 * (regions.edges[1:] + regions.edges[:-1]))
    np.testing.assert_allclose(display.line_.get_ydata(), 100 * regions.coverage)
    np.testing.assert_allclose(ends(display.bars_), 100 * np.stack([regions.low, regions.high], 1))
    np.testing.assert_allclose(display.level_.get_ydata(), [50, 50])
    assert display.ax_.get_xlabel() == "x1"
    assert "nominal, 50 %" in display.ax_.get_legend_handles_labels()[1]


def test_regions_of_tied_values_and_of_data_frames():
    pandas = pytest.importorskip("pandas")
    made = evaluation()
    same = vb.coverage_by_region(made, np.ones(400))
    assert isinstance(same, RegionCoverage)
    np.testing.assert_array_equal(same.counts, [400])
    vb.CoverageByRegionDisplay(same).plot()
    frame = pandas.DataFrame({"width": np.arange(400) % 2, "height": np.arange(400)})
    two = vb.coverage_by_region(made, frame, feature="width")
    assert two.name == "width"
    assert two.counts.sum() == 400
    with pytest.raises(ValueError, match="'depth' is no column of x"):
        vb.coverage_by_region(made, frame, feature="depth")
    with pytest.raises(ValueError, match="3 rows"):
        vb.coverage_by_region(made, np.ones(3))
    with pytest.raises(ValueError, match="level must lie"):
        vb.coverage_by_region(made, frame, level=95)
    for level in ("a", None):
        with pytest.raises(ValueError, match="level must lie"):
            vb.coverage_by_region(made, frame, level=level)
    for target in ("a", 0.0, None, 1):
        with pytest.raises(ValueError, match="target must be from 0 to 0"):
            vb.coverage_by_region(made, frame, target=target)
    with pytest.raises(ValueError, match="column 'kind' does not: could not convert"):
        vb.coverage_by_region(made, frame.assign(kind="small"), feature="kind")
    with pytest.raises(TypeError, match=r"evaluation must be what varbump.evaluate returns, got DataFrame"):
        vb.coverage_by_region(frame, made)
    with pytest.raises(ValueError, match="target must be"):
        made.pit_histogram(target=1)


def test_axes_are_taken_and_self_returned():
    made = evaluation()
    regions = vb.coverage_by_region(made, np.arange(400))
    for display in (vb.CalibrationDisplay(made), vb.PITDisplay(made), vb.CoverageByRegionDisplay(regions)):
        _, ax = plt.subplots()
        assert display.plot(ax) is display
        assert display.ax_ is ax
        display.plot(ax)  # again, from what is held
