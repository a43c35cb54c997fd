"""What all likelihoods share: each is a Keras loss, and its configuration is all there is to copy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from varbump._keras import keras

__all__ = ["Likelihood"]


class Likelihood(keras.losses.Loss):
    """A density p(y | f) that is also a Keras loss. A subclass has `nll`, `mean`, `stddev`, `sample`, `get_config`."""

    def call(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        """Negative log-likelihood of each observation, as a Keras loss."""
        return self.nll(y_true, y_pred)

    def nll(self, y: Any, f: Any) -> tf.Tensor:
        """Negative log-likelihood of each observation, in nats, summed over targets, shape (...)."""
        raise NotImplementedError

    def num_outputs(self, num_targets: int) -> int:
        """Network outputs, columns of f, for so many columns of y."""
        return num_targets

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[dict[str, Any]]]:
        # Pickling and copying go through the configuration: variables can do neither, and their values are in it.
        return type(self).from_config, (self.get_config(),)
