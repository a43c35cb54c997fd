"""Likelihoods: distributions of observations y given network outputs f."""

from varbump.likelihoods.base import Likelihood
from varbump.likelihoods.censored_normal import CensoredNormal
from varbump.likelihoods.gamma import Gamma
from varbump.likelihoods.heteroscedastic_normal import HeteroscedasticNormal
from varbump.likelihoods.learned_normal import LearnedNormal
from varbump.likelihoods.log_normal import LogNormal
from varbump.likelihoods.negative_binomial import NegativeBinomial
from varbump.likelihoods.normal import Normal
from varbump.likelihoods.poisson import Poisson
from varbump.likelihoods.student_t import StudentT

__all__ = [
    "CensoredNormal",
    "Gamma",
    "HeteroscedasticNormal",
    "LearnedNormal",
    "Likelihood",
    "LogNormal",
    "NegativeBinomial",
    "Normal",
    "Poisson",
    "StudentT",
]
