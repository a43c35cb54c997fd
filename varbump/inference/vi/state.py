"""All that the next epochs depend on, beside data, seeds and options: a value that goes in and comes out."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

__all__ = ["TrainState"]


class TrainState(NamedTuple):
    """State of a training run of K members.

    Attributes
    ----------
    optimizer : list of Tensor
        Trainable weights and moments, in the layout of the optimiser.
    moving : list of Tensor (K, ...)
        Variables that the forward pass moves, such as the averages of batch normalisation.
    best : list of Tensor (K, ...)
        Weights and moving variables of the best epoch; empty without patience.
    best_loss : Tensor ()
        Nats per observation.
    stale : Tensor ()
        Epochs since the best one.
    """

    optimizer: list[Any]
    moving: list[Any]
    best: list[Any]
    best_loss: Any
    stale: Any

    def arrays(self) -> dict[str, list[np.ndarray]]:
        """The parts, for a checkpoint."""
        parts = {"optimizer": self.optimizer, "moving": self.moving, "best": [*self.best, self.best_loss, self.stale]}
        return {name: [np.asarray(tensor) for tensor in tensors] for name, tensors in parts.items()}

    def replaced(self, arrays: dict[str, Any]) -> TrainState:
        """The state of a checkpoint, in place of this one.

        Raises
        ------
        ValueError
            If it is of a run with other variables.
        """
        for name, tensors in self.arrays().items():
            if [(a.shape, a.dtype) for a in arrays[name]] != [(a.shape, a.dtype) for a in tensors]:
                raise ValueError(f"the stored state has other shapes ({name}) than this network and optimizer")
        *best, best_loss, stale = arrays["best"]
        return TrainState(list(arrays["optimizer"]), list(arrays["moving"]), best, best_loss, stale)
