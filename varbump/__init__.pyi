"""The names of the package; `__init__.py` imports each when it is first used."""

from . import (
    datasets as datasets,
    layers as layers,
    likelihoods as likelihoods,
    posteriors as posteriors,
    priors as priors,
)
from .bumps import (
    bump as bump,
    gaussian_bump as gaussian_bump,
)
from .diagnostics import (
    ElboLogger as ElboLogger,
    GradientReport as GradientReport,
    HealthReport as HealthReport,
    NanDiagnosis as NanDiagnosis,
    NanGuard as NanGuard,
    bump_report as bump_report,
    check_gradients as check_gradients,
    diagnose_nan as diagnose_nan,
    health_report as health_report,
    parameter_report as parameter_report,
    weight_summary as weight_summary,
)
from .estimator import (
    VariationalRegressor as VariationalRegressor,
)
from .evidence import (
    ElboEstimate as ElboEstimate,
    estimate_elbo as estimate_elbo,
)
from .importance import (
    ImportanceDraws as ImportanceDraws,
    sample_importance as sample_importance,
)
from .mcmc import (
    PosteriorDraws as PosteriorDraws,
    sample_nuts as sample_nuts,
)
from .network import (
    build_network as build_network,
)
from .plotting import (
    BandsDisplay as BandsDisplay,
    CalibrationDisplay as CalibrationDisplay,
    CoverageByRegionDisplay as CoverageByRegionDisplay,
    FunctionsDisplay as FunctionsDisplay,
    GradientDisplay as GradientDisplay,
    ParameterDisplay as ParameterDisplay,
    PITDisplay as PITDisplay,
    TrainingDisplay as TrainingDisplay,
    WeightsDisplay as WeightsDisplay,
)
from .posteriors import (
    posterior as posterior,
)
from .prediction import (
    Bands as Bands,
    credible_bands as credible_bands,
    predict_bands as predict_bands,
    predict_f as predict_f,
    predict_y as predict_y,
)
from .priors import (
    prior as prior,
)
from .saving import (
    ArchiveError as ArchiveError,
    SavedModel as SavedModel,
    load as load,
    save as save,
)
from .scores import (
    Evaluation as Evaluation,
    coverage_by_region as coverage_by_region,
    psis_khat as psis_khat,
    recalibrate as recalibrate,
    to_arviz as to_arviz,
)
from .scores.evaluate import (
    evaluate as evaluate,
)
from .slices import (
    slice_along as slice_along,
)
from .training import (
    Ensemble as Ensemble,
    History as History,
    NonFiniteLossError as NonFiniteLossError,
    fit as fit,
    fit_ensemble as fit_ensemble,
)

__version__: str
