"""Bayesian variational regression: from (x, y) to a curve with honest uncertainty."""

from varbump import datasets, layers, likelihoods, posteriors, priors
from varbump.bumps import bump, gaussian_bump
from varbump.diagnostics import bump_report, parameter_report
from varbump.estimator import VariationalRegressor
from varbump.evidence import ElboEstimate, estimate_elbo
from varbump.importance import ImportanceDraws, sample_importance
from varbump.mcmc import PosteriorDraws, sample_nuts
from varbump.network import build_network
from varbump.plotting import (
    BandsDisplay,
    CalibrationDisplay,
    CoverageByRegionDisplay,
    FunctionsDisplay,
    PITDisplay,
    TrainingDisplay,
)
from varbump.posteriors import posterior
from varbump.prediction import Bands, credible_bands, predict_bands, predict_f, predict_y
from varbump.priors import prior
from varbump.saving import ArchiveError, SavedModel, load, save
from varbump.scores import Evaluation, coverage_by_region, evaluate, psis_khat, recalibrate, to_arviz
from varbump.slices import slice_along
from varbump.training import Ensemble, History, NonFiniteLossError, fit, fit_ensemble
from varbump.version import __version__

__all__ = [
    "ArchiveError",
    "Bands",
    "BandsDisplay",
    "CalibrationDisplay",
    "CoverageByRegionDisplay",
    "ElboEstimate",
    "Ensemble",
    "Evaluation",
    "FunctionsDisplay",
    "History",
    "ImportanceDraws",
    "NonFiniteLossError",
    "PITDisplay",
    "PosteriorDraws",
    "SavedModel",
    "TrainingDisplay",
    "VariationalRegressor",
    "__version__",
    "build_network",
    "bump",
    "bump_report",
    "coverage_by_region",
    "credible_bands",
    "datasets",
    "estimate_elbo",
    "evaluate",
    "fit",
    "fit_ensemble",
    "gaussian_bump",
    "layers",
    "likelihoods",
    "load",
    "parameter_report",
    "posterior",
    "posteriors",
    "predict_bands",
    "predict_f",
    "predict_y",
    "prior",
    "priors",
    "psis_khat",
    "recalibrate",
    "sample_importance",
    "sample_nuts",
    "save",
    "slice_along",
    "to_arviz",
]
