"""The compiled loop."""

from varbump.backtrace import NonFiniteLossError
from varbump.training.ensemble import Ensemble, fit_ensemble
from varbump.training.fitting import fit
from varbump.training.history import History

__all__ = ["Ensemble", "History", "NonFiniteLossError", "fit", "fit_ensemble"]
