"""Prior factories: distributions over the weights of a layer before any data are seen."""

from varbump.priors.base import Prior
from varbump.priors.continued import from_posterior
from varbump.priors.fixed import Laplace, Normal, ScaleMixtureNormal, prior
from varbump.priors.learned import ARDNormal, TrainableNormal

__all__ = [
    "ARDNormal",
    "Laplace",
    "Normal",
    "Prior",
    "ScaleMixtureNormal",
    "TrainableNormal",
    "from_posterior",
    "prior",
]
