import numpy as np
import pytest

import varbump as vb

X = np.array([[0.0, 5.0, 1.0], [4.0, 7.0, 2.0], [2.0, 90.0, 6.0]])


def test_one_feature_runs_over_its_range_and_the_others_stay_at_their_medians():
    rows = vb.slice_along(X, 1, num_points=3, widen=0.2)
    np.testing.assert_allclose(rows, [[2.0, -12.0, 2.0], [2.0, 47.5, 2.0], [2.0, 107.0, 2.0]])
    np.testing.assert_allclose(vb.slice_along(X[:, 0], num_points=2), [[0.0], [4.0]])


@pytest.mark.parametrize("widen", [-1.0, np.nan, np.inf, "a", None])
def test_a_width_that_is_none(widen):
    with pytest.raises(ValueError, match="widen must be a finite number of at least 0"):
        vb.slice_along(X, 0, widen=widen)


def test_images_have_no_features():
    with pytest.raises(ValueError, match=r"x must have rows and columns, got shape \(2, 3, 4\)"):
        vb.slice_along(np.ones((2, 3, 4)), 0)


@pytest.mark.parametrize(("feature", "options"), [(3, {}), (-1, {}), (True, {}), ("a", {}), (0, {"num_points": 1})])
def test_bad_arguments_are_named(feature, options):
    with pytest.raises(ValueError, match="num_points" if options else "feature must be a column of x, from 0 to 2"):
        vb.slice_along(X, feature, **options)


def test_pictures_are_drawn_along_the_feature():
    rows = vb.slice_along(X, 1, num_points=5)
    draws = np.random.default_rng(0).normal(size=(20, 5, 2))
    bands = vb.credible_bands(draws)
    display = vb.BandsDisplay(rows, bands, feature=1, output=1).plot()
    np.testing.assert_array_equal(display.line_.get_xdata(), rows[:, 1])
    np.testing.assert_allclose(display.line_.get_ydata(), bands.mean[:, 1])
    functions = vb.FunctionsDisplay(rows, draws, feature=1).plot()
    np.testing.assert_array_equal(functions.lines_[0].get_xdata(), rows[:, 1])
    with pytest.raises(ValueError, match="varies in other columns than feature 0"):
        vb.BandsDisplay(rows, bands)
