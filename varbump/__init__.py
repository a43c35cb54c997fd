"""Bayesian variational regression: from (x, y) to a curve with honest uncertainty.

Names are imported when they are first used: what nobody asks for costs nothing. Keras must know our classes by name as
soon as the package is imported, for models that are loaded or written down as strings, so their modules come at once;
except in the command line, which answers --help and a mistyped file name before TensorFlow is there.
"""

import importlib
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from varbump.version import __version__

if TYPE_CHECKING:
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
    from varbump.importance import ImportanceDraws, sample_importance
    from varbump.mcmc import PosteriorDraws, sample_nuts
    from varbump.network import build_network
    from varbump.plotting import (
        BandsDisplay,
        CalibrationDisplay,
        CoverageByRegionDisplay,
        FunctionsDisplay,
        GradientDisplay,
        ParameterDisplay,
        PITDisplay,
        TrainingDisplay,
        WeightsDisplay,
    )
    from varbump.posteriors import posterior
    from varbump.prediction import Bands, credible_bands, predict_bands, predict_f, predict_y
    from varbump.priors import prior
    from varbump.saving import ArchiveError, SavedModel, load, save
    from varbump.scores import Evaluation, coverage_by_region, psis_khat, recalibrate, to_arviz
    from varbump.scores.evaluate import evaluate  # mypy takes varbump.scores.evaluate for the module
    from varbump.slices import slice_along
    from varbump.training import Ensemble, History, NonFiniteLossError, fit, fit_ensemble

__all__ = [
    "ArchiveError",
    "Bands",
    "BandsDisplay",
    "CalibrationDisplay",
    "CoverageByRegionDisplay",
    "ElboEstimate",
    "ElboLogger",
    "Ensemble",
    "Evaluation",
    "FunctionsDisplay",
    "GradientDisplay",
    "GradientReport",
    "HealthReport",
    "History",
    "ImportanceDraws",
    "NanDiagnosis",
    "NanGuard",
    "NonFiniteLossError",
    "PITDisplay",
    "ParameterDisplay",
    "PosteriorDraws",
    "SavedModel",
    "TrainingDisplay",
    "VariationalRegressor",
    "WeightsDisplay",
    "__version__",
    "build_network",
    "bump",
    "bump_report",
    "check_gradients",
    "coverage_by_region",
    "credible_bands",
    "datasets",
    "diagnose_nan",
    "estimate_elbo",
    "evaluate",
    "fit",
    "fit_ensemble",
    "gaussian_bump",
    "health_report",
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
    "weight_summary",
]

_HOMES = {
    "bumps": ("bump", "gaussian_bump"),
    "diagnostics": (
        "ElboLogger",
        "GradientReport",
        "HealthReport",
        "NanDiagnosis",
        "NanGuard",
        "bump_report",
        "check_gradients",
        "diagnose_nan",
        "health_report",
        "parameter_report",
        "weight_summary",
    ),
    "estimator": ("VariationalRegressor",),
    "evidence": ("ElboEstimate", "estimate_elbo"),
    "importance": ("ImportanceDraws", "sample_importance"),
    "mcmc": ("PosteriorDraws", "sample_nuts"),
    "network": ("build_network",),
    "plotting": (
        "BandsDisplay",
        "CalibrationDisplay",
        "CoverageByRegionDisplay",
        "FunctionsDisplay",
        "GradientDisplay",
        "PITDisplay",
        "ParameterDisplay",
        "TrainingDisplay",
        "WeightsDisplay",
    ),
    "posteriors": ("posterior",),
    "prediction": ("Bands", "credible_bands", "predict_bands", "predict_f", "predict_y"),
    "priors": ("prior",),
    "saving": ("ArchiveError", "SavedModel", "load", "save"),
    "scores": ("Evaluation", "coverage_by_region", "evaluate", "psis_khat", "recalibrate", "to_arviz"),
    "slices": ("slice_along",),
    "training": ("Ensemble", "History", "NonFiniteLossError", "fit", "fit_ensemble"),
}
"""Module of each name; those of `__all__` that are not here are modules themselves."""

_MODULES = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value = getattr(importlib.import_module(f"varbump.{_MODULES[name]}"), name)
        globals()[name] = value
        return value
    if not name.startswith("_"):
        try:
            return importlib.import_module(f"varbump.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"varbump.{name}":
                raise
    raise AttributeError(f"module 'varbump' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})


def _is_the_command() -> bool:
    """Whether this process is ``varbump ...`` or ``python -m varbump ...``."""
    program = Path((getattr(sys, "argv", None) or [""])[0]).stem
    return program == "varbump" or ("-m", "varbump") in pairwise(sys.orig_argv)


if not _is_the_command():
    from varbump import layers, likelihoods, posteriors, priors  # noqa: F401
