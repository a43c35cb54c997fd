"""Public names of the package; `__init__.py` imports each on first use."""

from . import (
    layers as layers,
    likelihoods as likelihoods,
    posteriors as posteriors,
    priors as priors,
)
from .core.archive import (
    ArchiveError as ArchiveError,
)
from .core.registry import (
    register as register,
)
from .data import (
    datasets as datasets,
    sources as sources,
)
from .data.slices import (
    slice_along as slice_along,
)
from .debug.failure import (
    NonFiniteLossError as NonFiniteLossError,
)
from .debug.gradients import (
    GradientReport as GradientReport,
    check_gradients as check_gradients,
)
from .debug.guard import (
    NanGuard as NanGuard,
)
from .debug.nan import (
    NanDiagnosis as NanDiagnosis,
    diagnose_nan as diagnose_nan,
)
from .diagnostics import (
    ElboEstimate as ElboEstimate,
    ElboLogger as ElboLogger,
    HealthReport as HealthReport,
    PartialDependence as PartialDependence,
    UncertainRows as UncertainRows,
    bump_report as bump_report,
    estimate_elbo as estimate_elbo,
    health_report as health_report,
    parameter_report as parameter_report,
    partial_dependence as partial_dependence,
    psis_khat as psis_khat,
    uncertain_rows as uncertain_rows,
    weight_summary as weight_summary,
)
from .estimator import (
    VariationalRegressor as VariationalRegressor,
)
from .forward.programs import (
    clear_programs as clear_programs,
    programs as programs,
)
from .inference.ensemble.ensemble import (
    Ensemble as Ensemble,
)
from .inference.ensemble.fitting import (
    fit_ensemble as fit_ensemble,
)
from .inference.importance.draws import (
    ImportanceDraws as ImportanceDraws,
)
from .inference.importance.sampling import (
    sample_importance as sample_importance,
)
from .inference.laplace.approximation import (
    laplace as laplace,
)
from .inference.laplace.posterior import (
    LaplacePosterior as LaplacePosterior,
)
from .inference.mcmc.draws import (
    PosteriorDraws as PosteriorDraws,
)
from .inference.mcmc.nuts import (
    sample_nuts as sample_nuts,
)
from .inference.posterior.draws import (
    NearExactDraws as NearExactDraws,
)
from .inference.posterior.sampling import (
    sample_posterior as sample_posterior,
)
from .inference.vi.fitting import (
    fit as fit,
)
from .inference.vi.history import (
    History as History,
)
from .inference.workers.faults import (
    WorkerLost as WorkerLost,
)
from .layers.bump_functions import (
    bump as bump,
    gaussian_bump as gaussian_bump,
)
from .model.assembly import (
    build_network as build_network,
)
from .plotting import (
    BandsDisplay as BandsDisplay,
    CalibrationDisplay as CalibrationDisplay,
    CoverageByRegionDisplay as CoverageByRegionDisplay,
    FunctionsDisplay as FunctionsDisplay,
    GradientDisplay as GradientDisplay,
    ParameterDisplay as ParameterDisplay,
    PartialDependenceDisplay as PartialDependenceDisplay,
    PITDisplay as PITDisplay,
    TrainingDisplay as TrainingDisplay,
    WeightsDisplay as WeightsDisplay,
)
from .posteriors import (
    posterior as posterior,
)
from .predict.bands import (
    Bands as Bands,
    credible_bands as credible_bands,
    predict_bands as predict_bands,
)
from .predict.distribution import (
    PredictiveDistribution as PredictiveDistribution,
)
from .predict.functions import (
    predict_f as predict_f,
    predict_y as predict_y,
)
from .predict.prior import (
    PriorDraws as PriorDraws,
    sample_prior as sample_prior,
)
from .predict.to_files import (
    predict_to as predict_to,
)
from .predict.wrapped import (
    predict_dist as predict_dist,
    predict_interval as predict_interval,
    predict_quantiles as predict_quantiles,
)
from .priors import (
    prior as prior,
)
from .saving import (
    SavedModel as SavedModel,
    export as export,
    load as load,
    predict_partition as predict_partition,
    save as save,
)
from .scores import (
    Evaluation as Evaluation,
    coverage_by_region as coverage_by_region,
    evaluate as evaluate,
    recalibrate as recalibrate,
    scorer as scorer,
    to_arviz as to_arviz,
)

__version__: str
