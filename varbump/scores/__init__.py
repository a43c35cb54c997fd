"""Quality of a predictive distribution on held-out data."""

from varbump.scores.arviz import to_arviz
from varbump.scores.band import simultaneous_band
from varbump.scores.evaluation import Evaluation
from varbump.scores.held_out import evaluate
from varbump.scores.pit import PITHistogram
from varbump.scores.recalibrated import RecalibratedModel, recalibrate
from varbump.scores.recalibration import QuantileRecalibration
from varbump.scores.regions import RegionCoverage, coverage_by_region
from varbump.scores.scorer import scorer

__all__ = [
    "Evaluation",
    "PITHistogram",
    "QuantileRecalibration",
    "RecalibratedModel",
    "RegionCoverage",
    "coverage_by_region",
    "evaluate",
    "recalibrate",
    "scorer",
    "simultaneous_band",
    "to_arviz",
]
