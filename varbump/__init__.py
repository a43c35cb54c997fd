"""Bayesian variational regression: from (x, y) to a curve with honest uncertainty."""

from varbump import datasets, layers, likelihoods, posteriors, priors
from varbump.bumps import bump, gaussian_bump
from varbump.diagnostics import (
    ElboLogger,
    GradientReport,
    HealthReport,
    NanDiagnosis,
    NanGuard,
    bump_report,
    check_gradients,
    diagnose_nan,
    health_report,
    parameter_report,
    weight_summary,
)
from varbump.estimator import VariationalRegressor
from varbump.evidence import ElboEstimate, estimate_elbo
from varbump.mcmc import PosteriorDraws, sample_nuts
from varbump.network import build_network
from varbump.plotting import (
    BandsDisplay,
    FunctionsDisplay,
    GradientDisplay,
    ParameterDisplay,
    TrainingDisplay,
    WeightsDisplay,
)
from varbump.posteriors import posterior
from varbump.prediction import Bands, credible_bands, predict_bands, predict_f, predict_y
from varbump.priors import prior
from varbump.training import Ensemble, History, NonFiniteLossError, fit, fit_ensemble

__version__ = "0.1.0"

__all__ = [
    "Bands",
    "BandsDisplay",
    "ElboEstimate",
    "ElboLogger",
    "Ensemble",
    "FunctionsDisplay",
    "GradientDisplay",
    "GradientReport",
    "HealthReport",
    "History",
    "NanDiagnosis",
    "NanGuard",
    "NonFiniteLossError",
    "ParameterDisplay",
    "PosteriorDraws",
    "TrainingDisplay",
    "VariationalRegressor",
    "WeightsDisplay",
    "build_network",
    "bump",
    "bump_report",
    "check_gradients",
    "credible_bands",
    "datasets",
    "diagnose_nan",
    "estimate_elbo",
    "fit",
    "fit_ensemble",
    "gaussian_bump",
    "health_report",
    "layers",
    "likelihoods",
    "parameter_report",
    "posterior",
    "posteriors",
    "predict_bands",
    "predict_f",
    "predict_y",
    "prior",
    "priors",
    "sample_nuts",
    "weight_summary",
]
