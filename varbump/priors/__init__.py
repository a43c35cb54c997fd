"""Prior factories: what is believed about the weights of a layer before any data."""

from varbump.priors.base import PriorFactory
from varbump.priors.fixed import Laplace, Normal, ScaleMixtureNormal, prior
from varbump.priors.learned import ARDNormal, TrainableNormal

__all__ = ["ARDNormal", "Laplace", "Normal", "PriorFactory", "ScaleMixtureNormal", "TrainableNormal", "prior"]
