"""What is computed between the weights and the loss, operation by operation, and where it went wrong."""

from varbump.backtrace.blame import Blame, blame
from varbump.backtrace.failure import NonFiniteLossError
from varbump.backtrace.owners import layer_names, leaves, owners, weight_label
from varbump.backtrace.record import Operation, Record, Recorder, ancestors

__all__ = [
    "Blame",
    "NonFiniteLossError",
    "Operation",
    "Record",
    "Recorder",
    "ancestors",
    "blame",
    "layer_names",
    "leaves",
    "owners",
    "weight_label",
]
