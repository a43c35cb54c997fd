"""What a person should be told, one question a file."""

from varbump.diagnostics.bumps import BumpLayerReport, BumpReport, bump_report
from varbump.diagnostics.gradients import GradientReport, WeightGradient, check_gradients
from varbump.diagnostics.guard import NanGuard
from varbump.diagnostics.nan import NanDiagnosis, diagnose_nan
from varbump.diagnostics.parameters import LayerReport, ParameterReport, parameter_report

__all__ = [
    "BumpLayerReport",
    "BumpReport",
    "GradientReport",
    "LayerReport",
    "NanDiagnosis",
    "NanGuard",
    "ParameterReport",
    "WeightGradient",
    "bump_report",
    "check_gradients",
    "diagnose_nan",
    "parameter_report",
]
