"""What a model says about y, as a distribution for each row."""

from varbump.predictive.mixture import Mixture
from varbump.predictive.noise import NormalNoise, StudentTNoise, noise_of
from varbump.predictive.predictive import BLOCK, Predictive, predictive_of

__all__ = ["BLOCK", "Mixture", "NormalNoise", "Predictive", "StudentTNoise", "noise_of", "predictive_of"]
