"""Pictures of the reports, compared by what they draw."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

import varbump as vb
from varbump.debug.gradients import WeightGradient
from varbump.diagnostics import LayerReport, LayerWeights, ParameterReport, WeightSummary

WEIGHTS = [("a", "kernel", "ok", 0.5), ("a", "bias", "exploding", 1e9), ("b", "sigma", "missing", None)]
WEIGHTS += [("b", "height", "zero", 0.0), ("c", "sigma", "non-finite", np.nan)]
GRADIENTS = vb.GradientReport(tuple(WeightGradient(a, b, (1,), s, n, None) for a, b, s, n in WEIGHTS), 1.0, 10)
MEANS = np.array([0.01, -2.0, 3.0])
SUMMARY = WeightSummary(
    tuple(LayerWeights(n, MEANS, np.array([0.9, 0.1, 0.2]), MEANS * 0, MEANS * 0 + 1) for n in "ab")
)
PARAMETERS = ParameterReport((LayerReport("a", 10, 65, 45, 3.0, 4.2), LayerReport("b", 5, 5)), 100)


def test_gradients_by_status():
    display = vb.GradientDisplay(GRADIENTS).plot()
    assert set(display.points_) == {"ok", "exploding", "missing", "zero", "non-finite"}
    np.testing.assert_array_equal(display.points_["ok"].get_data(), [[0.5], [0]])
    np.testing.assert_array_equal(display.points_["exploding"].get_data(), [[1e9], [1]])
    edge = 0.01  # a decade below the smallest
    np.testing.assert_allclose(display.points_["missing"].get_data(), [[edge], [2]])
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert labels[0] == "a, kernel"
    assert display.ax_.get_xticklabels()[0].get_text() == "none"
    assert len({line.get_marker() for line in display.points_.values()}) == 5  # not by colour alone


def test_weights_with_their_prior():
    display = vb.WeightsDisplay(SUMMARY).plot()
    np.testing.assert_array_equal(display.points_["a"].get_xdata(), np.abs(MEANS))
    np.testing.assert_array_equal(display.points_["b"].get_ydata(), [0.9, 0.1, 0.2])
    assert [line.get_ydata()[0] for line in display.priors_] == [1.0]
    assert "a, 3 weights" in display.ax_.get_legend_handles_labels()[1]
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("|mean| of a weight", "sd of a weight")


def test_parameters_as_bars():
    display = vb.ParameterDisplay(PARAMETERS).plot()
    widths = {name: [bar.get_width() for bar in bars] for name, bars in display.bars_.items()}
    assert widths == {
        "trainable parameters": [65, 5],
        "weights": [10, 5],
        "pinned down by the data (effective)": [4.2, 0.0],
    }
    assert display.line_.get_xdata()[0] == 100
    assert "100 data points" in display.ax_.get_legend_handles_labels()[1]


@pytest.mark.parametrize(
    "display", [vb.GradientDisplay(GRADIENTS), vb.WeightsDisplay(SUMMARY), vb.ParameterDisplay(PARAMETERS)]
)
def test_axes_are_taken_and_self_returned(display):
    _, ax = plt.subplots()
    assert display.plot(ax) is display
    assert display.ax_ is ax
    display.plot(ax)
