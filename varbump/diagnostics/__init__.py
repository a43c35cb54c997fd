"""What a person should be told, one question a file."""

from varbump.diagnostics.bumps import BumpLayerReport, BumpReport, bump_report
from varbump.diagnostics.gradients import GradientReport, WeightGradient, check_gradients
from varbump.diagnostics.parameters import LayerReport, ParameterReport, parameter_report

__all__ = [
    "BumpLayerReport",
    "BumpReport",
    "GradientReport",
    "LayerReport",
    "ParameterReport",
    "WeightGradient",
    "bump_report",
    "check_gradients",
    "parameter_report",
]
