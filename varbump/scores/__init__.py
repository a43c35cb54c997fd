"""How good a predictive distribution is on data that were held out."""

from varbump.scores.band import simultaneous_band
from varbump.scores.evaluate import evaluate
from varbump.scores.evaluation import Evaluation
from varbump.scores.pit import PITHistogram
from varbump.scores.regions import RegionCoverage, coverage_by_region

__all__ = [
    "Evaluation",
    "PITHistogram",
    "RegionCoverage",
    "coverage_by_region",
    "evaluate",
    "simultaneous_band",
]
