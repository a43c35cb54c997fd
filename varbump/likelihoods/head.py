"""Likelihood of a network that ends in a distribution of y: that distribution, given the parameters of it."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NoReturn

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from varbump.forward.structure import Undescribable
from varbump.likelihoods.base import Likelihood

__all__ = ["HeadLikelihood"]

FAR = 1e30
"""Ends of the support beyond this are infinite."""


class _Reshaped(tfd.BatchReshape):
    """Distribution of another batch shape, to which values are broadcast, as everywhere but in its base."""

    def log_prob(self, value: Any, name: str = "log_prob", **options: Any) -> tf.Tensor:
        return super().log_prob(self._broadcast(value), name, **options)

    def cdf(self, value: Any, name: str = "cdf", **options: Any) -> tf.Tensor:
        return super().cdf(self._broadcast(value), name, **options)

    def _broadcast(self, value: Any) -> tf.Tensor:
        value = tf.convert_to_tensor(value, self.dtype)
        return tf.broadcast_to(value, tf.broadcast_dynamic_shape(tf.shape(value), _shape(self)))


class HeadLikelihood(Likelihood):
    """Likelihood p(y | f) of the last layer of a network, where f are the parameters of the distribution that it makes.

    The distribution may be over single numbers or over all columns of y, independent or not. Only if the columns are
    independent is there a `distribution`, which scores need.

    Parameters
    ----------
    layer : tfp.layers.DistributionLambda
        Built; `tfp.layers.IndependentNormal` and its kin are of this class.
    row_shape : tuple of int
        Shape of its inputs for one row; the last entry is the number of parameters.
    """

    def __init__(self, layer: Any, row_shape: tuple[int, ...]) -> None:
        super().__init__(name=layer.name)
        self._layer, self._row_shape = layer, tuple(row_shape)

    @cached_property
    def num_targets(self) -> int:
        """Q, the number of columns of y."""
        return int(self._made(tf.zeros([1, *self._row_shape])).event_shape[-1])

    def num_outputs(self, num_targets: int) -> int:
        """Number of parameters of the distribution, whatever the number of targets."""
        del num_targets
        return self._row_shape[-1]

    def check_observations(self, y: Any, argument: str = "y") -> None:
        """Raise a ValueError if y (N, Q) has another number of columns than the distribution."""
        if np.shape(y)[-1] != self.num_targets:
            raise ValueError(
                f"{argument} has {np.shape(y)[-1]} columns, but layer {self.name!r}, in which the network ends, makes "
                f"a distribution over {self.num_targets}"
            )

    @property
    def variables(self) -> list[tf.Variable]:
        """Weights of the layer."""
        return self._layer.variables

    @property
    def trainable_variables(self) -> list[tf.Variable]:
        """Trainable weights of the layer."""
        return self._layer.trainable_variables

    @cached_property
    def support(self) -> tuple[float, float]:
        """Smallest and largest possible y; all numbers if they depend on the parameters."""
        return self._ends(0.0) if self._ends(0.0) == self._ends(1.0) else (-np.inf, np.inf)

    def distribution(self, f: Any) -> tfd.Distribution:
        """Distribution of y given parameters f, with batch shape (..., Q).

        Raises
        ------
        TypeError
            If the columns of y are not independent.
        """
        made = self._made(f)
        if not isinstance(made, tfd.Independent) or made.distribution.event_shape.rank != 0:
            raise TypeError(
                f"layer {self.name!r} makes one distribution over all columns of y, and this needs one for each: use "
                f"tfp.layers.IndependentNormal or its kin"
            )
        return made.distribution

    def nll(self, y: Any, f: Any) -> tf.Tensor:
        """Negative log-likelihood of each observation, in nats, jointly over targets."""
        made = self._made(f)
        return tf.cast(-made.log_prob(tf.cast(y, made.dtype)), tf.convert_to_tensor(f).dtype)

    def sample(self, f: Any, seed: Any) -> tf.Tensor:
        """Draw one y for each f, shape (..., Q); `seed` is a stateless seed (2,), int32."""
        f = tf.convert_to_tensor(f)
        return tf.cast(self._made(f).sample(seed=tf.convert_to_tensor(seed, tf.int32)), f.dtype)

    def structure(self) -> NoReturn:
        """Raise `Undescribable`: the function that makes the distribution is code."""
        raise Undescribable

    def get_config(self) -> dict[str, Any]:
        """What checkpoints compare: the class of the layer and the shape of its inputs."""
        return {"layer": type(self._layer).__name__, "row_shape": list(self._row_shape)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> NoReturn:
        """Raise a TypeError: the layer belongs to its network."""
        raise TypeError(f"a {config['layer']} belongs to its network and cannot be copied or saved without it")

    def _moment(self, f: Any, what: str) -> tf.Tensor:
        f = tf.convert_to_tensor(f)
        made = self._made(f)
        try:
            return tf.cast(tf.broadcast_to(getattr(made, what)(), _shape(made)), f.dtype)
        except NotImplementedError as error:
            raise TypeError(f"the distribution of layer {self.name!r} has no {what} in closed form") from error

    def _made(self, f: Any) -> tfd.Distribution:
        """Distribution over y with event shape (Q,) and the batch shape of the rows of f.

        Rows are the only leading axis that the function of the layer is called with, as in the network.
        """
        f = tf.convert_to_tensor(f)
        rank = 1 + len(self._row_shape)
        rows = f if f.shape.rank == rank else tf.reshape(f, [-1, *self._row_shape])
        made = self._of_columns(self._layer._make_distribution_fn(rows, **self._layer.arguments), rows)
        if rows is f:
            return made
        shape = f.shape[:-1] if f.shape.is_fully_defined() else tf.shape(f)[:-1]
        if isinstance(made, tfd.Independent) and made.distribution.event_shape.rank == 0:
            columns = tf.concat([shape, made.event_shape_tensor()], 0)
            return tfd.Independent(_Reshaped(made.distribution, columns), 1)
        return _Reshaped(made, shape)

    def _of_columns(self, made: tfd.Distribution, rows: tf.Tensor) -> tfd.Distribution:
        """Return the distribution of each row, over (Q,) columns of y."""
        while isinstance(made, tfd.Independent):
            made = made.distribution
        batch, event, rank = made.batch_shape.rank, made.event_shape.rank, rows.shape.rank
        if event == 0 and batch == rank - 1:  # y as a number for each row is one column
            made = _Reshaped(made, tf.concat([made.batch_shape_tensor(), [1]], 0))
        elif (batch, event) not in ((rank, 0), (rank - 1, 1)):
            raise ValueError(
                f"layer {self.name!r} makes a distribution of batch shape {made.batch_shape} and event shape "
                f"{made.event_shape}, which is none over the columns of y for each row"
            )
        return made if made.event_shape.rank else tfd.Independent(made, 1)

    def _ends(self, parameters: float) -> tuple[float, float]:
        """Ends of the support for these parameters."""
        made = self._made(tf.fill([1, *self._row_shape], parameters))
        one = made.distribution if isinstance(made, tfd.Independent) else made
        bijector = one.experimental_default_event_space_bijector()
        if bijector is None:  # whole numbers
            return 0.0, np.inf
        if made.event_shape.rank and one is made:
            return -np.inf, np.inf
        low, high = (float(np.max(bijector.forward(tf.fill(made.event_shape, end)))) for end in (-FAR, FAR))
        return low if low > -FAR else -np.inf, high if high < FAR else np.inf


def _shape(made: tfd.Distribution) -> tf.Tensor:
    return tf.concat([made.batch_shape_tensor(), made.event_shape_tensor()], 0)
