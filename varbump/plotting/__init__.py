"""Plots of finished results, in the manner of scikit-learn's displays; nothing is computed here."""

from varbump.plotting.bands import BandsDisplay, FunctionsDisplay
from varbump.plotting.calibration import CalibrationDisplay, CoverageByRegionDisplay, PITDisplay
from varbump.plotting.dependence import PartialDependenceDisplay
from varbump.plotting.gradients import GradientDisplay
from varbump.plotting.parameters import ParameterDisplay
from varbump.plotting.training import TrainingDisplay
from varbump.plotting.weights import WeightsDisplay

__all__ = [
    "BandsDisplay",
    "CalibrationDisplay",
    "CoverageByRegionDisplay",
    "FunctionsDisplay",
    "GradientDisplay",
    "PITDisplay",
    "ParameterDisplay",
    "PartialDependenceDisplay",
    "TrainingDisplay",
    "WeightsDisplay",
]
