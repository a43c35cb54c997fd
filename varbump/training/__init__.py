"""The compiled loop."""

from varbump.training.ensemble import Ensemble, fit_ensemble
from varbump.training.failure import NonFiniteLossError
from varbump.training.fitting import fit, run_fit
from varbump.training.history import History
from varbump.training.step import Step

__all__ = ["Ensemble", "History", "NonFiniteLossError", "Step", "fit", "fit_ensemble", "run_fit"]
