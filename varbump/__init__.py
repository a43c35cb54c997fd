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

from varbump._version import __version__ as __version__

if TYPE_CHECKING:
    from varbump import datasets, layers, likelihoods, posteriors, priors
    from varbump.bumps import bump, gaussian_bump
    from varbump.diagnostics import bump_report, parameter_report
    from varbump.estimator import VariationalRegressor
    from varbump.evidence import ElboEstimate, estimate_elbo
    from varbump.mcmc import PosteriorDraws, sample_nuts
    from varbump.network import build_network
    from varbump.plotting import BandsDisplay, FunctionsDisplay, TrainingDisplay
    from varbump.posteriors import posterior
    from varbump.prediction import Bands, credible_bands, predict_bands, predict_f, predict_y
    from varbump.priors import prior
    from varbump.training import Ensemble, History, NonFiniteLossError, fit, fit_ensemble

__all__ = [
    "Bands",
    "BandsDisplay",
    "ElboEstimate",
    "Ensemble",
    "FunctionsDisplay",
    "History",
    "NonFiniteLossError",
    "PosteriorDraws",
    "TrainingDisplay",
    "VariationalRegressor",
    "build_network",
    "bump",
    "bump_report",
    "credible_bands",
    "datasets",
    "estimate_elbo",
    "fit",
    "fit_ensemble",
    "gaussian_bump",
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
]

_HOMES = {
    "bumps": ("bump", "gaussian_bump"),
    "diagnostics": ("bump_report", "parameter_report"),
    "estimator": ("VariationalRegressor",),
    "evidence": ("ElboEstimate", "estimate_elbo"),
    "mcmc": ("PosteriorDraws", "sample_nuts"),
    "network": ("build_network",),
    "plotting": ("BandsDisplay", "FunctionsDisplay", "TrainingDisplay"),
    "posteriors": ("posterior",),
    "prediction": ("Bands", "credible_bands", "predict_bands", "predict_f", "predict_y"),
    "priors": ("prior",),
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
    return sorted({*globals(), *__all__})


def _is_the_command() -> bool:
    """Whether this process is ``varbump ...`` or ``python -m varbump ...``."""
    program = Path((getattr(sys, "argv", None) or [""])[0]).stem
    return program == "varbump" or ("-m", "varbump") in pairwise(sys.orig_argv)


if not _is_the_command():
    from varbump import layers, likelihoods, posteriors, priors  # noqa: F401
