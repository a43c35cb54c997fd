"""What a person should be told, one question a file."""

from varbump.diagnostics.bumps import BumpLayerReport, BumpReport, bump_report
from varbump.diagnostics.gradients import GradientReport, WeightGradient, check_gradients
from varbump.diagnostics.guard import NanGuard
from varbump.diagnostics.health import HealthReport, LayerHealth, health_report
from varbump.diagnostics.logger import ElboLogger
from varbump.diagnostics.nan import NanDiagnosis, diagnose_nan
from varbump.diagnostics.parameters import LayerReport, ParameterReport, parameter_report
from varbump.diagnostics.weights import LayerWeights, WeightSummary, weight_summary

__all__ = [
    "BumpLayerReport",
    "BumpReport",
    "ElboLogger",
    "GradientReport",
    "HealthReport",
    "LayerHealth",
    "LayerReport",
    "LayerWeights",
    "NanDiagnosis",
    "NanGuard",
    "ParameterReport",
    "WeightGradient",
    "WeightSummary",
    "bump_report",
    "check_gradients",
    "diagnose_nan",
    "health_report",
    "parameter_report",
    "weight_summary",
]
