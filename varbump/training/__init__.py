"""The compiled loop."""

from varbump.backtrace import NonFiniteLossError
from varbump.training.ensemble import Ensemble, fit_ensemble
from varbump.training.fitting import fit, run_fit
from varbump.training.history import History
from varbump.training.step import Step

__all__ = ["Ensemble", "History", "NonFiniteLossError", "Step", "fit", "fit_ensemble", "run_fit"]
