"""Pages of the reference, one for each public name, made of the lists of public names of the package."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

__all__ = ["NAMESPACES", "TOPICS", "public_names", "setup"]

TOPICS = {
    "Build and train": [
        "build_network", "fit", "fit_ensemble", "History", "Ensemble", "VariationalRegressor",
        "prior", "posterior", "register", "WorkerLost",
    ],
    "Other posteriors": [
        "sample_posterior", "NearExactDraws", "sample_nuts", "PosteriorDraws", "sample_importance", "ImportanceDraws",
        "laplace", "LaplacePosterior", "sample_prior", "PriorDraws",
    ],
    "Predict": [
        "predict_f", "predict_y", "predict_bands", "credible_bands", "Bands", "predict_dist", "PredictiveDistribution",
        "predict_interval", "predict_quantiles", "predict_to", "predict_partition", "slice_along",
    ],
    "Trust": [
        "evaluate", "Evaluation", "scorer", "coverage_by_region", "recalibrate", "health_report", "HealthReport",
        "parameter_report", "weight_summary", "psis_khat", "estimate_elbo", "ElboEstimate", "ElboLogger", "to_arviz",
        "partial_dependence", "PartialDependence", "uncertain_rows", "UncertainRows",
    ],
    "Debug": [
        "check_gradients", "GradientReport", "diagnose_nan", "NanDiagnosis", "NanGuard", "NonFiniteLossError",
    ],
    "Plot": [
        "BandsDisplay", "FunctionsDisplay", "TrainingDisplay", "CalibrationDisplay", "PITDisplay",
        "CoverageByRegionDisplay", "PartialDependenceDisplay", "ParameterDisplay", "WeightsDisplay", "GradientDisplay",
    ],
    "Save": ["save", "load", "SavedModel", "ArchiveError", "export"],
    "Bumps": ["bump", "gaussian_bump", "bump_report"],
    "Compiled programs": ["programs", "clear_programs"],
}  # fmt: skip
"""Where each name of `varbump` itself is listed."""

NAMESPACES = ["likelihoods", "posteriors", "priors", "layers", "sources", "datasets"]
"""Public namespaces, whose names are listed as they are in their `__all__`."""


def public_names() -> dict[str, list[str]]:
    """The names of each page of the reference; an error if one of the package is in none."""
    package = importlib.import_module("varbump")
    listed = [name for names in TOPICS.values() for name in names]
    expected = set(package.__all__) - {"__version__", *NAMESPACES}
    if len(listed) != len(set(listed)) or set(listed) != expected:
        different = sorted(expected.symmetric_difference(listed)) or "one is there twice"
        raise ValueError(f"docs/_ext/reference.py and varbump.__all__ have different names: {different}")
    return {
        **TOPICS,
        **{f"varbump.{name}": list(getattr(package, name).__all__) for name in NAMESPACES},
    }


def page(title: str, names: list[str]) -> str:
    """One page of the reference: a title and a table of names, whose own pages autosummary makes."""
    lines = [title, "=" * len(title), ""]
    module = "varbump"
    if title.startswith("varbump."):
        module = title
        namespace = getattr(importlib.import_module("varbump"), title.removeprefix("varbump."))
        lines += [(namespace.__doc__ or "").strip().splitlines()[0], ""]
    lines += [f".. currentmodule:: {module}", "", ".. autosummary::", "   :toctree: names", ""]
    return "\n".join([*lines, *(f"   {name}" for name in names), ""])


def write_pages(app: Any, config: Any) -> None:
    """Write the pages that have changed, before Sphinx looks for pages."""
    del config
    folder = Path(app.srcdir) / "reference"
    current = set()
    for title, names in public_names().items():
        module = title if title.startswith("varbump.") else "varbump"
        current |= {f"{module}.{name}" for name in names}
        path = folder / f"{title.removeprefix('varbump.').lower().replace(' ', '_')}.rst"
        text = page(title, names)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    for path in (folder / "names").glob("*.rst"):
        if path.stem not in current:
            path.unlink()


def setup(app: Any) -> dict[str, bool]:
    """Write the pages before autosummary reads them."""
    app.connect("config-inited", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
