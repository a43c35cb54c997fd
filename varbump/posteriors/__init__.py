"""Posterior factories: the trainable family q(w) over the weights of one layer, one family a file.

A factory is called with ``(kernel_size, bias_size, dtype)``, by our layers and by the stock
`tfp.layers.DenseVariational` alike, and returns a `Posterior`: the variables, and what the ELBO
needs of them.
"""

from varbump.posteriors.base import Posterior
from varbump.posteriors.factory import PosteriorFactory
from varbump.posteriors.full_covariance import FullCovarianceNormal, JointNormal, posterior
from varbump.posteriors.low_rank import LowRankNormal
from varbump.posteriors.mean_field import MeanFieldNormal

__all__ = [
    "FullCovarianceNormal",
    "JointNormal",
    "LowRankNormal",
    "MeanFieldNormal",
    "Posterior",
    "PosteriorFactory",
    "posterior",
]
