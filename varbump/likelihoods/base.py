"""What a likelihood is: a distribution of y given f, from which all else follows; also a Keras loss."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from varbump.core.keras import keras
from varbump.likelihoods.noise import Noise
from varbump.likelihoods.observations import check_support

__all__ = ["Likelihood"]

BY_HAND = ("nll", "mean", "stddev", "sample")
"""What a likelihood without `distribution` has to define."""

OF_THE_LOSS = ("name", "reduction")


class Likelihood(keras.losses.Loss):
    r"""A density :math:`p(y | f) = \prod_q p(y_q | f)` of observations y given network outputs f; a base to subclass.

    A subclass needs one method, ``distribution(self, f)``: a `tfp.distributions.Distribution` over y, with scalar
    events and the batch shape (..., Q) of y. Loss, moments, draws, intervals and scores follow from it. Override
    `nll` where a formula of your own is more stable, and `num_outputs` where a column of y needs several of f.

    Arguments of ``__init__`` are kept as attributes of the same names, as in scikit-learn: `get_config`, copies and
    pickles read them there. ``super().__init__()`` comes first.

    Attributes
    ----------
    short_name : str or None
        Of the class: what `VariationalRegressor(likelihood=...)` and the command line call it.
    discrete : bool
        Whether y are whole numbers. It also sets the defaults of the next two for counts.
    support : (float, float)
        Smallest and largest y that there can be; (0, inf) for counts, all numbers otherwise. Both ends belong to it,
        except 0 for a density on the positive numbers, which `open_support` excludes.
    standardises_y : bool
        Whether the density may speak of standardised y. Counts and other y of a fixed origin or unit may not be.
    open_support : bool
        Whether y must lie inside of the support, not at its ends.
    atoms : tuple of float
        Values that a continuous y takes with positive probability, such as the limits of a censored one.
    scale_varies : bool
        Whether the standard deviation of y given f depends on f, and with it on x.
    constant_keys : tuple of str
        Keys of the configuration that are held in `constants`.

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
        """Raise a TypeError that names what is missing, unless the class defines `distribution`, or all that needs it.

        `varbump.register` calls it, so that a slip is found where the class is written.
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

    def adapted(self, y: np.ndarray, resolution: float) -> Likelihood:
        """A copy for observations y (N, Q), with what was left open set from them; arguments as in `for_table`."""
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
            If the distribution has not the shape of y.
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
        """E[y | f], shape (..., Q), units of y."""
        return self._moment(f, "mean")

    def stddev(self, f: Any) -> tf.Tensor:
        """Standard deviation of y given f, shape (..., Q), units of y."""
        return self._moment(f, "stddev")

    def sample(self, f: Any, seed: Any) -> tf.Tensor:
        """One draw of y for each f, shape (..., Q); `seed` is a stateless seed (2,), int32."""
        f = tf.convert_to_tensor(f)
        return tf.cast(self._checked(f).sample(seed=tf.convert_to_tensor(seed, tf.int32)), f.dtype)

    def cdf(self, y: Any, f: Any) -> Any:
        """P(Y_q <= y_q | f), shape (..., Q), for predictions, which call it eagerly; NumPy will do.

        Override it where that of the distribution is missing, slow or inexact.
        """
        made = self._checked(tf.convert_to_tensor(f))
        return made.cdf(tf.cast(y, made.dtype))

    def noise(self) -> Noise | None:
        """The distribution of (y - mean) / stddev, where it is the same for all f; None otherwise.

        With it predictions take the fast path of location and scale; without, that of `distribution`.
        """
        return None

    def num_outputs(self, num_targets: int) -> int:
        """Network outputs, columns of f, for so many columns of y."""
        return num_targets

    def num_detached(self, num_targets: int) -> int:
        """Outputs, the last ones, from which no gradient may reach the layers below the last."""
        del num_targets
        return 0

    def check_observations(self, y: Any, argument: str = "y") -> None:
        """Raise a ValueError that names the argument and the row, where y (N, ..., Q) cannot be observations."""
        check_support(np.asarray(y), argument, type(self).__name__, self.support, self.discrete, self.open_support)

    @property
    def learned(self) -> tuple[str, ...]:
        """Keys of the configuration that hold what is learned; likelihoods that differ in these only are one model."""
        return ()

    @property
    def variables(self) -> list[tf.Variable]:
        """Weights of its own."""
        return []

    @property
    def trainable_variables(self) -> list[tf.Variable]:
        """Those that `varbump.fit` trains beside the network."""
        return self.variables

    @property
    def constants(self) -> list[tf.Variable]:
        """Numbers of the configuration that compiled programs take as arguments, although they are not trained."""
        return []

    def structure(self) -> dict[str, Any]:
        """What of the configuration a program is compiled for: all but what is learned or held in `constants`.

        Likelihoods of one class and equal structure compute by the same program.
        """
        left_out = {*OF_THE_LOSS, *self.learned, *self.constant_keys}
        return {key: value for key, value in self.get_config().items() if key not in left_out}

    def get_config(self) -> dict[str, Any]:
        """Arguments that make an equal object, read back from attributes of the same names.

        Raises
        ------
        AttributeError
            If an argument of ``__init__`` is not kept under its name.
        """
        config = {"reduction": getattr(self, "reduction", "auto"), "name": getattr(self, "name", None)}
        for key in _arguments(type(self)):
            try:
                config[key] = _plain(getattr(self, key))
            except AttributeError as error:
                raise AttributeError(
                    f"{type(self).__name__} has no attribute {key!r}: __init__ must keep each of its arguments as "
                    f"self.{key}, or get_config must be overridden"
                ) from error
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Likelihood:
        """The likelihood of a configuration; the inverse of `get_config`."""
        parameters = inspect.signature(cls).parameters.values()
        takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
        names = {parameter.name for parameter in parameters}
        taken = {key: value for key, value in config.items() if takes_any or key in names or key not in OF_THE_LOSS}
        made = cls(**taken)
        for key in OF_THE_LOSS:  # of a class whose __init__ does not take them
            if key in config and key not in taken:
                setattr(made, key, config[key])
        return made

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[dict[str, Any]]]:
        # Pickling and copying go through the configuration: variables can do neither, and their values are in it.
        return type(self).from_config, (self.get_config(),)

    def _checked(self, f: tf.Tensor) -> Any:
        """The distribution for f, or an error that says what is wrong with it."""
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


def _arguments(cls: type) -> list[str]:
    """Names of the arguments of ``__init__``, but for those of a Keras loss."""
    named = [
        parameter.name
        for parameter in inspect.signature(cls).parameters.values()
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    ]
    return [name for name in named if name not in OF_THE_LOSS]


def _plain(value: Any) -> Any:
    """Numbers of TensorFlow and NumPy as those of Python, which every format can hold."""
    if isinstance(value, (tf.Variable, tf.Tensor)):
        value = value.numpy()
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
