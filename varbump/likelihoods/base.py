"""Base of likelihoods: a distribution of y given f, from which everything else follows; also a Keras loss."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from varbump.core.configured import Configured
from varbump.core.keras import Loss
from varbump.likelihoods.noise import Noise
from varbump.likelihoods.observations import check_support

__all__ = ["Likelihood"]

BY_HAND = ("nll", "mean", "stddev", "sample")
"""Methods that a likelihood without `distribution` must define."""

OF_THE_LOSS = ("name", "reduction")


class Likelihood(Configured, Loss):
    r"""Base of likelihoods :math:`p(y | f) = \prod_q p(y_q | f)` of observations y given network outputs f.

    A subclass needs one method, ``distribution(self, f)``, which returns a `tfp.distributions.Distribution` over y with
    scalar events and the batch shape (..., Q) of y. Loss, moments, draws, intervals and scores follow from it. Override
    `nll` if another formula is more stable, and `num_outputs` if a column of y needs several columns of f.

    Store the arguments of ``__init__`` as attributes of the same names, as in scikit-learn: `get_config`, copies and
    pickles read them there. Call ``super().__init__()`` first.

    Attributes
    ----------
    short_name : str or None
        Class attribute: its name in `VariationalRegressor(likelihood=...)` and on the command line.
    discrete : bool
        Whether y is a whole number. If so, the defaults of `support`, `standardises_y` and `scale_varies` are those
        for counts.
    support : (float, float)
        Smallest and largest possible y; (0, inf) for counts, all numbers otherwise. Both ends are included, unless
        `open_support` excludes them, such as 0 for a density on the positive numbers.
    standardises_y : bool
        Whether y may be standardised. Counts, and other y with a fixed origin or unit, must not be.
    open_support : bool
        Whether the ends of the support are excluded.
    atoms : tuple of float
        Values that a continuous y takes with positive probability, such as censoring limits.
    scale_varies : bool
        Whether the standard deviation of y given f depends on f, and therefore on x.
    constant_keys : tuple of str
        Keys of the configuration whose values are in `constants`.

    Examples
    --------
    >>> import numpy as np
    >>> import tensorflow_probability as tfp
    >>> import varbump as vb
    >>> @vb.register("MyCounts")
    ... class MyCounts(vb.likelihoods.Likelihood):
    ...     discrete = True
    ...
    ...     def distribution(self, f):
    ...         return tfp.distributions.Poisson(log_rate=f)
    >>> x = np.linspace(-1, 1, 200)[:, None]
    >>> y = np.random.default_rng(0).poisson(np.exp(1 + x))
    >>> network = vb.build_network(1, hidden_units=(), seed=0)
    >>> history = vb.fit(network, MyCounts(), x, y, epochs=100, seed=0, verbose=0)
    >>> scores = vb.evaluate(network, x, y, likelihood=MyCounts(), seed=0)
    >>> bool(scores.log_likelihood > -2.0)  # log of the probability of a count, nats a row
    True
    """

    short_name: ClassVar[str | None] = None
    discrete: ClassVar[bool] = False
    open_support: ClassVar[bool] = False
    standardises_y: ClassVar[bool] = True
    scale_varies: ClassVar[bool] = False
    constant_keys: ClassVar[tuple[str, ...]] = ()
    support: Any = (-np.inf, np.inf)
    atoms: Any = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.__dict__.get("discrete"):  # counts
            for name, value in (("standardises_y", False), ("support", (0.0, np.inf)), ("scale_varies", True)):
                if name not in cls.__dict__:
                    setattr(cls, name, value)

    def __init__(self, *, reduction: str = "auto", name: str | None = None) -> None:
        super().__init__(reduction=reduction, name=name)

    @classmethod
    def check_definition(cls) -> None:
        """Raise a TypeError unless the class defines `distribution`, or all methods that depend on it.

        `varbump.register` calls it, so that a mistake is reported where the class is defined.
        """
        if cls.distribution is not Likelihood.distribution:
            return
        missing = [name for name in BY_HAND if getattr(cls, name) is getattr(Likelihood, name)]
        if missing:
            besides = "" if missing == list(BY_HAND) else f", or also {', '.join(missing)}"
            raise TypeError(
                f"{cls.__name__} lacks distribution(self, f), which returns a tfp.distributions.Distribution over y "
                f"with batch shape (..., Q){besides}"
            )

    @classmethod
    def for_table(cls, y: np.ndarray, resolution: float) -> Likelihood:
        """Make a likelihood with initial values suitable for observations y (N, Q), as the network sees them.

        Parameters
        ----------
        y : ndarray (N, Q)
            All observations, standardised if `standardises_y`.
        resolution : float
            Standard deviation of the rounding error, in units of y: smaller noise cannot be detected.
        """
        del y, resolution
        return cls()

    @classmethod
    def variable_shapes(cls, config: dict[str, Any]) -> list[tuple[int, ...]]:
        """Shapes of the `variables` of an object with this configuration, in their order, without making it.

        Files are checked against them before anything is loaded. By default there is a scale for each of `num_targets`,
        if there is such an argument, and one more number with `learn_df`.

        Raises
        ------
        ValueError
            If the configuration is not valid.
        """
        if "num_targets" not in config:
            return []
        targets = config["num_targets"]
        if type(targets) is not int or not 1 <= targets < 2**31:
            raise ValueError(f"num_targets must be an integer from 1 to 2147483647, got {targets!r:.40}")
        return [(targets,) if targets > 1 else (), *([()] if config.get("learn_df") is True else [])]

    def adapted(self, y: np.ndarray, resolution: float) -> Likelihood:
        """Copy the likelihood, setting omitted arguments from observations y (N, Q); arguments as in `for_table`."""
        del y, resolution
        return copy.deepcopy(self)

    def distribution(self, f: Any) -> Any:
        """Distribution of y given f, a `tfp.distributions.Distribution` with batch shape (..., Q) and scalar events.

        Parameters
        ----------
        f : Tensor (..., K)
            Network outputs, K = `num_outputs`.

        Raises
        ------
        TypeError
            If the class does not define it.
        """
        del f
        type(self).check_definition()
        raise TypeError(f"{type(self).__name__} does not define distribution(self, f), and this needs it")

    def call(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        """Negative log-likelihood of each observation, as a Keras loss."""
        return self.nll(y_true, y_pred)

    def nll(self, y: Any, f: Any) -> tf.Tensor:
        r"""Negative log-likelihood of each observation, in nats, summed over targets.

        .. math:: -\sum_q \log p(y_q | f)

        Parameters
        ----------
        y : Tensor (..., Q)
            Observations.
        f : Tensor (..., K)
            Network outputs.

        Returns
        -------
        Tensor (...)

        Raises
        ------
        ValueError
            If the distribution does not have the shape of y.
        """
        f = tf.convert_to_tensor(f)
        made = self._checked(f)
        y = tf.cast(y, made.dtype)
        columns, batch = y.shape[-1], made.batch_shape
        if batch.rank is not None and batch[-1] is not None and columns not in (None, batch[-1]):
            raise ValueError(
                f"y has {columns} columns, but the distribution of {type(self).__name__} has {batch[-1]}: its "
                f"num_outputs({columns}) is {self.num_outputs(columns)}, which must be the columns of f that it needs"
            )
        return tf.cast(-tf.reduce_sum(made.log_prob(y), axis=-1), f.dtype)

    def mean(self, f: Any) -> tf.Tensor:
        """E[y | f], shape (..., Q), in units of y."""
        return self._moment(f, "mean")

    def stddev(self, f: Any) -> tf.Tensor:
        """Standard deviation of y given f, shape (..., Q), in units of y."""
        return self._moment(f, "stddev")

    def sample(self, f: Any, seed: Any) -> tf.Tensor:
        """Draw one y for each f, shape (..., Q); `seed` is a stateless seed (2,), int32."""
        f = tf.convert_to_tensor(f)
        return tf.cast(self._checked(f).sample(seed=tf.convert_to_tensor(seed, tf.int32)), f.dtype)

    def cdf(self, y: Any, f: Any) -> Any:
        """P(Y_q <= y_q | f), shape (..., Q); predictions call it eagerly, so it may use NumPy.

        Override it if that of the distribution is missing, slow or inexact.
        """
        made = self._checked(tf.convert_to_tensor(f))
        return made.cdf(tf.cast(y, made.dtype))

    def noise(self) -> Noise | None:
        """Distribution of (y - mean) / stddev if it is the same for all f, otherwise None.

        If given, predictions take a faster path that uses location and scale only; otherwise they use `distribution`.
        """
        return None

    def best_scale(self, squared_errors: np.ndarray) -> np.ndarray | None:
        """Noise scale that maximises the ELBO if y is normal with mean f and the same scale everywhere, otherwise None.

        Parameters
        ----------
        squared_errors : ndarray (Q,)
            Mean over the rows of E[(y - f)^2].
        """
        del squared_errors
        return None

    def assign_scale(self, scale: np.ndarray) -> None:
        """Set a learned scale to what `best_scale` returned."""
        del scale

    def num_outputs(self, num_targets: int) -> int:
        """Number of network outputs (columns of f) for `num_targets` columns of y."""
        return num_targets

    def share_at_floor(self, f: Any) -> float:
        """Share of the observations whose noise scale is held by its floor; 0 if it has none."""
        del f
        return 0.0

    def num_detached(self, num_targets: int) -> int:
        """Number of outputs, counted from the last, whose gradient must not reach the layers below the last one."""
        del num_targets
        return 0

    def check_observations(self, y: Any, argument: str = "y") -> None:
        """Raise a ValueError that names the argument and the row if y (N, ..., Q) are not possible observations."""
        check_support(np.asarray(y), argument, type(self).__name__, self.support, self.discrete, self.open_support)

    @property
    def learned(self) -> tuple[str, ...]:
        """Keys of learned values in the configuration; likelihoods that differ only in these are the same model."""
        return ()

    @property
    def variables(self) -> list[tf.Variable]:
        """Weights of the likelihood."""
        return []

    @property
    def trainable_variables(self) -> list[tf.Variable]:
        """Weights that `varbump.fit` trains together with the network."""
        return self.variables

    @property
    def constants(self) -> list[tf.Variable]:
        """Untrained numbers of the configuration that compiled programs take as arguments."""
        return []

    def structure(self) -> dict[str, Any]:
        """Part of the configuration that programs are compiled for: all but learned values and `constants`.

        Likelihoods of the same class and structure share compiled programs.
        """
        left_out = {*OF_THE_LOSS, *self.learned, *self.constant_keys}
        return {key: value for key, value in self.get_config().items() if key not in left_out}

    def get_config(self) -> dict[str, Any]:
        """Arguments from which an equal object can be made, read from attributes of the same names.

        Raises
        ------
        TypeError
            If an argument of ``__init__`` is not stored under its name.
        """
        return {**super().get_config(), **{key: getattr(self, key, None) for key in OF_THE_LOSS}}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Likelihood:
        """Make the likelihood of a configuration; the inverse of `get_config`."""
        parameters = inspect.signature(cls).parameters.values()
        takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
        names = {parameter.name for parameter in parameters}
        taken = {key: value for key, value in config.items() if takes_any or key in names or key not in OF_THE_LOSS}
        made = cls(**taken)
        for key in OF_THE_LOSS:  # if __init__ does not accept them
            if key in config and key not in taken:
                setattr(made, key, config[key])
        return made

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[dict[str, Any]]]:
        # Pickle and copy the configuration, which has the values of the variables; variables support neither.
        return type(self).from_config, (self.get_config(),)

    def _checked(self, f: tf.Tensor) -> Any:
        """Return the distribution for f after checking its shape."""
        made = self.distribution(f)
        if not hasattr(made, "batch_shape"):
            raise TypeError(
                f"{type(self).__name__}.distribution(f) must return a tfp.distributions.Distribution, got {made!r}"
            )
        if made.event_shape.rank not in (0, None) or made.batch_shape.rank not in (f.shape.rank, None):
            raise ValueError(
                f"{type(self).__name__}.distribution(f) must have batch shape (..., Q) and scalar events, got batch "
                f"shape {made.batch_shape} and event shape {made.event_shape} for f of shape {f.shape}"
            )
        return made

    def _moment(self, f: Any, what: str) -> tf.Tensor:
        f = tf.convert_to_tensor(f)
        made = self._checked(f)
        try:
            return tf.cast(tf.broadcast_to(getattr(made, what)(), made.batch_shape_tensor()), f.dtype)
        except NotImplementedError as error:
            raise TypeError(
                f"{type(made).__name__} has no {what} in closed form; define {what}(self, f) in {type(self).__name__}"
            ) from error
