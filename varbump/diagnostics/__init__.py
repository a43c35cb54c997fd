"""Diagnostics of networks and posteriors, one question a file."""

from varbump.diagnostics.bumps import BumpLayerReport, BumpReport, bump_report
from varbump.diagnostics.dependence import PartialDependence, partial_dependence
from varbump.diagnostics.elbo_estimate import ElboEstimate, estimate_elbo
from varbump.diagnostics.health import HealthReport, LayerHealth, health_report
from varbump.diagnostics.khat import KhatReport, psis_khat
from varbump.diagnostics.logger import ElboLogger
from varbump.diagnostics.parameters import LayerReport, ParameterReport, parameter_report
from varbump.diagnostics.uncertain import UncertainRows, uncertain_rows
from varbump.diagnostics.weights import LayerWeights, WeightSummary, weight_summary

__all__ = [
    "BumpLayerReport",
    "BumpReport",
    "ElboEstimate",
    "ElboLogger",
    "HealthReport",
    "KhatReport",
    "LayerHealth",
    "LayerReport",
    "LayerWeights",
    "ParameterReport",
    "PartialDependence",
    "UncertainRows",
    "WeightSummary",
    "bump_report",
    "estimate_elbo",
    "health_report",
    "parameter_report",
    "partial_dependence",
    "psis_khat",
    "uncertain_rows",
    "weight_summary",
]
