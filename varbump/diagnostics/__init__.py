"""What a person should be told, one question a file."""

from varbump.diagnostics.parameters import LayerReport, ParameterReport, parameter_report

__all__ = ["LayerReport", "ParameterReport", "parameter_report"]
