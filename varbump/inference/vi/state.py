"""State of a training run: everything that later epochs depend on besides data, seeds and options."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

__all__ = ["TrainState"]


class TrainState(NamedTuple):
    """State of a training run of K members; an epoch takes one and returns the next.

    Attributes
    ----------
    optimizer : list of Tensor
        Trainable weights and the state of the optimiser, in its layout.
    moving : list of Tensor (K, ...)
        Variables that the forward pass updates, such as the averages of batch normalisation.
    best : list of Tensor (K, ...)
        Weights and moving variables of the best epoch; empty without patience.
    best_loss : Tensor ()
        Loss of the best epoch, nats per observation.
    stale : Tensor ()
        Number of epochs since the best one.
    """

    optimizer: list[Any]
    moving: list[Any]
    best: list[Any]
    best_loss: Any
    stale: Any

    def arrays(self) -> dict[str, list[np.ndarray]]:
        """Parts of the state as arrays, for a checkpoint."""
        parts = {"optimizer": self.optimizer, "moving": self.moving, "best": [*self.best, self.best_loss, self.stale]}
        return {name: [np.asarray(tensor) for tensor in tensors] for name, tensors in parts.items()}

    def replaced(self, arrays: dict[str, Any]) -> TrainState:
        """Return the state of a checkpoint, which must have the shapes of this one.

        Raises
        ------
        ValueError
            If its shapes are others.
        """
        for name, tensors in self.arrays().items():
            if [(a.shape, a.dtype) for a in arrays[name]] != [(a.shape, a.dtype) for a in tensors]:
                raise ValueError(f"the stored state has other shapes ({name}) than this network and optimizer")
        *best, best_loss, stale = arrays["best"]
        return TrainState(list(arrays["optimizer"]), list(arrays["moving"]), best, best_loss, stale)
