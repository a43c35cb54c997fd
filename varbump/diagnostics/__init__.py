"""What a person should be told, one question a file."""

from varbump.diagnostics.bumps import BumpLayerReport, BumpReport, bump_report
from varbump.diagnostics.parameters import LayerReport, ParameterReport, parameter_report

__all__ = ["BumpLayerReport", "BumpReport", "LayerReport", "ParameterReport", "bump_report", "parameter_report"]
