"""How good a predictive distribution is on data that were held out."""

from varbump.scores.band import simultaneous_band
from varbump.scores.evaluate import evaluate
from varbump.scores.evaluation import Evaluation

__all__ = ["Evaluation", "evaluate", "simultaneous_band"]
