"""Observation models: how y scatters around f."""

from varbump.likelihoods.base import Likelihood
from varbump.likelihoods.heteroscedastic_normal import HeteroscedasticNormal
from varbump.likelihoods.learned_normal import LearnedNormal
from varbump.likelihoods.normal import Normal
from varbump.likelihoods.poisson import Poisson
from varbump.likelihoods.student_t import StudentT

__all__ = ["HeteroscedasticNormal", "LearnedNormal", "Likelihood", "Normal", "Poisson", "StudentT"]
