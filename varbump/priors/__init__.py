"""Prior factories: what is believed about the weights of a layer before any data."""

from varbump.priors.base import Prior
from varbump.priors.fixed import Laplace, Normal, ScaleMixtureNormal, prior
from varbump.priors.learned import ARDNormal, TrainableNormal

__all__ = ["ARDNormal", "Laplace", "Normal", "Prior", "ScaleMixtureNormal", "TrainableNormal", "prior"]
