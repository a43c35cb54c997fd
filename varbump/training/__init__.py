"""The compiled loop."""

from varbump.training.failure import NonFiniteLossError
from varbump.training.fitting import fit
from varbump.training.history import History

__all__ = ["History", "NonFiniteLossError", "fit"]
