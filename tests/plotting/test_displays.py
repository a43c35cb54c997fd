"""Pictures compared by what they draw."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest

import varbump as vb
from varbump.predict.draws import draws_of_kind

X = np.array([3.0, 1.0, 2.0])
DRAWS = np.random.default_rng(0).normal(size=(50, 3, 2))
ORDER = np.argsort(X)


def edges(area):
    """Lower and upper edge of a filled area, by x."""
    vertices = area.get_paths()[0].vertices
    points = {x: sorted(vertices[vertices[:, 0] == x, 1]) for x in np.unique(X)}
    return np.array([(ys[0], ys[-1]) for ys in points.values()]).T


@pytest.mark.parametrize("output", [0, 1])
def test_bands_are_drawn_where_they_are(output):
    bands = vb.credible_bands(DRAWS, levels=(0.5, 0.9))
    display = vb.BandsDisplay(X, bands, output=output).plot()
    np.testing.assert_array_equal(display.line_.get_xdata(), X[ORDER])
    np.testing.assert_array_equal(display.line_.get_ydata(), bands.mean[ORDER, output])
    for level in (0.5, 0.9):
        lower, upper = edges(display.areas_[level])
        np.testing.assert_allclose(lower, bands.lower[level][ORDER, output])
        np.testing.assert_allclose(upper, bands.upper[level][ORDER, output])


def test_labels_state_the_levels_that_were_drawn():
    bands = vb.credible_bands(DRAWS, levels=(0.8, 0.975), kind="predictive")
    display = vb.BandsDisplay(X, bands).plot(xlabel="age", ylabel="height")
    labels = display.ax_.get_legend_handles_labels()[1]
    assert "80 % predictive" in labels
    assert "97.5 % predictive" in labels
    assert "predictive mean" in labels
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("age", "height")


def test_levels_differ_by_more_than_colour():
    display = vb.BandsDisplay(X, vb.credible_bands(DRAWS)).plot()
    styles = {line.get_linestyle() for line in display.ax_.lines if line is not display.line_}
    assert len(styles) == 2


def test_axes_are_taken_and_self_returned():
    _, ax = plt.subplots()
    display = vb.BandsDisplay(X, vb.credible_bands(DRAWS))
    assert display.plot(ax) is display
    assert display.ax_ is ax
    display.plot(ax)  # again, from what is held


def test_functions_are_drawn_one_line_each():
    display = vb.FunctionsDisplay(X, DRAWS, output=1).plot()
    assert len(display.lines_) == 50
    np.testing.assert_array_equal(display.lines_[7].get_ydata(), DRAWS[7, ORDER, 1])
    assert display.ax_.get_legend_handles_labels()[1] == ["50 functions"]


@pytest.mark.parametrize(
    ("kind", "of_bands", "of_functions"),
    [
        (None, {"95 % of the draws", "mean of the draws"}, "50 functions"),
        ("epistemic", {"95 % epistemic", "posterior mean"}, "50 posterior functions"),
        ("predictive", {"95 % predictive", "predictive mean"}, "50 draws of y"),
        ("prior", {"95 % prior", "prior mean"}, "50 prior functions"),
        ("prior predictive", {"95 % prior predictive", "prior predictive mean"}, "50 draws of y from the prior"),
    ],
)
def test_labels_state_the_kind_of_the_draws(kind, of_bands, of_functions):
    draws = DRAWS if kind is None else draws_of_kind(DRAWS, kind)
    bands = vb.credible_bands(draws, levels=(0.95,))
    assert set(vb.BandsDisplay(X, bands).plot().ax_.get_legend_handles_labels()[1]) == of_bands
    assert vb.FunctionsDisplay(X, draws).plot().ax_.get_legend_handles_labels()[1] == [of_functions]


def test_bands_are_not_drawn_under_the_name_of_others():
    bands = vb.credible_bands(DRAWS, kind="epistemic")
    with pytest.raises(ValueError, match="kind is 'predictive', but these bands are of kind 'epistemic'"):
        vb.BandsDisplay(X, bands, kind="predictive")
    unknown = vb.credible_bands(DRAWS)
    assert "95 % predictive" in vb.BandsDisplay(X, unknown, kind="predictive").plot().ax_.get_legend_handles_labels()[1]


def test_training_curves():
    history = vb.History(history={"loss": [3.0, 2.0], "nll": [2.0, 1.5], "kl": [100.0, 50.0]}, num_data=100)
    display = vb.TrainingDisplay(history).plot(log=True)
    np.testing.assert_array_equal(display.lines_["loss"].get_ydata(), [3.0, 2.0])
    np.testing.assert_array_equal(display.lines_["KL / N"].get_ydata(), [1.0, 0.5])
    assert display.ax_.get_yscale() == "log"
    assert display.ax_.get_ylabel() == "nats per observation"


def test_draws_of_one_output_without_its_axis():
    display = vb.BandsDisplay(X, vb.credible_bands(DRAWS[..., 0])).plot()
    np.testing.assert_allclose(display.line_.get_ydata(), DRAWS[:, ORDER, 0].mean(0))


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="x must have the 3 rows of bands"):
        vb.BandsDisplay(X[:2], vb.credible_bands(DRAWS))
    with pytest.raises(ValueError, match="kind must be"):
        vb.BandsDisplay(X, vb.credible_bands(DRAWS), kind="both")
    with pytest.raises(ValueError, match="draws must have shape"):
        vb.FunctionsDisplay(X, DRAWS[:, :2])


@pytest.mark.parametrize(
    ("display", "made_by"),
    [
        (vb.CalibrationDisplay, "evaluate"),
        (vb.PITDisplay, "evaluate"),
        (vb.CoverageByRegionDisplay, "coverage_by_region"),
        (vb.TrainingDisplay, "fit"),
        (vb.GradientDisplay, "check_gradients"),
        (vb.ParameterDisplay, "parameter_report"),
        (vb.WeightsDisplay, "weight_summary"),
    ],
)
def test_displays_say_what_they_draw(display, made_by):
    for wrong in (None, display, "evaluation"):
        with pytest.raises(TypeError, match=f"must be what varbump.{made_by} returns, got"):
            display(wrong)


def test_bands_of_something_else_and_outputs_that_are_not_there():
    bands = vb.credible_bands(DRAWS)
    with pytest.raises(TypeError, match=r"bands must be what varbump.predict_bands returns, got ndarray"):
        vb.BandsDisplay(X, DRAWS)
    for output in (2, -1, 0.0, "a", True):
        with pytest.raises(ValueError, match="output must be a column of y, from 0 to 1, got"):
            vb.BandsDisplay(X, bands, output=output)
        with pytest.raises(ValueError, match="output must be a column of y"):
            vb.FunctionsDisplay(X, DRAWS, output=output)
    for feature in ("a", 0.0, None):
        with pytest.raises(ValueError, match="feature must be a column of x"):
            vb.BandsDisplay(X, bands, feature=feature)
    with pytest.raises(ValueError, match="draws holds no function"):
        vb.FunctionsDisplay(X, DRAWS[:0])
    with pytest.raises(TypeError, match="ax must be axes of Matplotlib, got Figure"):
        vb.BandsDisplay(X, bands).plot(plt.figure())


def test_weights_that_are_not_finite_are_not_drawn():
    layer = SimpleNamespace(name="output", mean=np.array([np.nan]), sd=np.ones(1))
    with pytest.raises(ValueError, match="nan or infinite, in layer 'output'"):
        vb.WeightsDisplay(SimpleNamespace(layers=(layer,)))


def test_a_run_that_was_stopped_in_its_first_epoch_has_no_curve():
    with pytest.raises(ValueError, match="history has no finished epoch"):
        vb.TrainingDisplay(vb.History(num_data=3, steps_per_epoch=1))


def test_a_model_without_weights_has_an_empty_picture_of_gradients():
    display = vb.GradientDisplay(vb.GradientReport((), float("nan"), 3)).plot()
    assert not display.points_


@pytest.mark.parametrize("kind", ["epistemic", "predictive"])
def test_the_legend_shows_levels_as_they_are_drawn(kind):
    display = vb.BandsDisplay(X, vb.credible_bands(DRAWS, levels=(0.5, 0.95), kind=kind)).plot()
    outer, inner = display.ax_.get_legend().legend_handles[:2]
    opacity = [np.ravel(handle.get_facecolor())[-1] for handle in (outer, inner)]
    assert opacity[0] == pytest.approx(display.areas_[0.95].get_alpha())
    seen = 1 - (1 - display.areas_[0.95].get_alpha()) * (1 - display.areas_[0.5].get_alpha())
    assert opacity[1] == pytest.approx(seen)
    assert seen > 1.8 * opacity[0]  # apart at a glance
    assert outer.get_linestyle() != inner.get_linestyle()
