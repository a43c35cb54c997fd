"""What all likelihoods share: each is a Keras loss, and its configuration is all there is to copy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from varbump.core.keras import keras

__all__ = ["Likelihood"]


class Likelihood(keras.losses.Loss):
    """A density p(y | f) that is also a Keras loss. A subclass has `nll`, `mean`, `stddev`, `sample`, `get_config`.

    Attributes
    ----------
    short_name : str or None
        Of the class: what `VariationalRegressor(likelihood=...)` and the command line call it.
    standardises_y : bool
        Whether the density may speak of standardised y. Counts and other y of a fixed origin or unit may not be.
    scale_varies : bool
        Whether the standard deviation of y given f depends on f, and with it on x.
    """

    short_name: ClassVar[str | None] = None
    standardises_y: ClassVar[bool] = True
    scale_varies: ClassVar[bool] = False

    @classmethod
    def for_table(cls, y: np.ndarray, resolution: float) -> Likelihood:
        """A likelihood to begin with, for all observations y (N, Q) as the network sees them.

        Parameters
        ----------
        y : ndarray (N, Q)
            Standardised, where `standardises_y`.
        resolution : float
            Standard deviation of rounding, in units of y: no noise below it can be told from none.
        """
        del y, resolution
        return cls()

    @classmethod
    def variable_shapes(cls, config: dict[str, Any]) -> list[tuple[int, ...]]:
        """Shapes of `variables`, in their order, of an object with this configuration; nothing is made.

        Files are checked against them before anything is made. By default a scale for each of the `num_targets`, where
        there is such an argument, and a number more with `learn_df`.

        Raises
        ------
        ValueError
            If the configuration is that of no likelihood.
        """
        if "num_targets" not in config:
            return []
        targets = config["num_targets"]
        if type(targets) is not int or not 1 <= targets < 2**31:
            raise ValueError(f"num_targets must be an integer from 1 to 2147483647, got {targets!r:.40}")
        return [(targets,) if targets > 1 else (), *([()] if config.get("learn_df") is True else [])]

    def call(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        """Negative log-likelihood of each observation, as a Keras loss."""
        return self.nll(y_true, y_pred)

    def nll(self, y: Any, f: Any) -> tf.Tensor:
        """Negative log-likelihood of each observation, in nats, summed over targets, shape (...)."""
        raise NotImplementedError

    def num_outputs(self, num_targets: int) -> int:
        """Network outputs, columns of f, for so many columns of y."""
        return num_targets

    def num_detached(self, num_targets: int) -> int:
        """Outputs, the last ones, from which no gradient may reach the layers below the last."""
        del num_targets
        return 0

    @property
    def learned(self) -> tuple[str, ...]:
        """Keys of the configuration that hold what is learned; likelihoods that differ in these only are one model."""
        return ()

    @property
    def constants(self) -> list[tf.Variable]:
        """Numbers of the configuration that programs take as arguments, although they are not trained."""
        return []

    def structure(self) -> dict[str, Any]:
        """The configuration without what is learned: likelihoods that agree in it compute the same."""
        left_out = {"name", "reduction", *self.learned}
        return {name: value for name, value in self.get_config().items() if name not in left_out}

    @property
    def variables(self) -> list[tf.Variable]:
        """Weights of its own."""
        return []

    @property
    def trainable_variables(self) -> list[tf.Variable]:
        """Those that `varbump.fit` trains beside the network."""
        return self.variables

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[dict[str, Any]]]:
        # Pickling and copying go through the configuration: variables can do neither, and their values are in it.
        return type(self).from_config, (self.get_config(),)
