"""Coverage in bins of a feature."""

import numpy as np
import pytest
from made_up import evaluation
from scipy import stats

import varbump as vb
from varbump.scores import RegionCoverage


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


def test_regions_of_tied_values_and_of_data_frames():
    pandas = pytest.importorskip("pandas")
    made = evaluation()
    same = vb.coverage_by_region(made, np.ones(400))
    assert isinstance(same, RegionCoverage)
    np.testing.assert_array_equal(same.counts, [400])
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
