"""Posterior factories: trainable families q(w) over the weights of one layer, one family per file.

Layers, including the stock `tfp.layers.DenseVariational`, call a factory with ``(kernel_size, bias_size, dtype)``. It
returns a `Posterior`, which holds the variables and computes what the ELBO needs.
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
