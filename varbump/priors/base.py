"""Base of priors: a distribution for given scales of the weights of a layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from varbump.core.checks import check_number
from varbump.core.configured import Configured
from varbump.core.distributions import over_weights
from varbump.core.fan_in import count_inputs

__all__ = ["FixedPrior", "Prior", "WeightsOfLayer"]


class WeightsOfLayer(NamedTuple):
    r"""Description of the weights w = (kernel, bias) of a layer, for its prior.

    Attributes
    ----------
    kernel_size, bias_size : int
    num_inputs : int
        Fan-in of the layer.
    factor : ndarray (n,)
        Factor of the scale of each weight: :math:`1/\sqrt D` for the kernel with `fan_in`, otherwise 1.
    dtype : DType
    """

    kernel_size: int
    bias_size: int
    num_inputs: int
    factor: np.ndarray
    dtype: tf.DType


class Prior(Configured):
    """Base of priors p(w) over the weights of a layer; subclasses define `distribution`.

    Parameters
    ----------
    scale : float, default=1.0
        Standard deviation (not variance) of every weight and bias, or whatever the prior defines as its scale.
    fan_in : bool, default=False
        Whether to divide the scale of the kernel (not of the bias) by the square root of the number of inputs.

    Attributes
    ----------
    short_name : str or None
        Class attribute: its name in `VariationalRegressor(prior=...)` and on the command line.

    Raises
    ------
    ValueError
        If `scale` is not a positive finite number.

    Notes
    -----
    A user-defined prior can be used wherever those of `varbump.priors` can. If registered, it can also be saved;
    loading needs the same registration. Arguments of its `__init__` must be stored as attributes of the same names.

    Examples
    --------
    Weights with heavy tails: most of them small, some of them large.

    >>> import varbump as vb
    >>> from tensorflow_probability import distributions as tfd
    >>> @vb.register("HeavyTails")
    ... class HeavyTails(vb.priors.Prior):
    ...     def __init__(self, df=3.0, **kwargs):
    ...         super().__init__(**kwargs)
    ...         self.df = df
    ...
    ...     def distribution(self, scale):
    ...         return tfd.StudentT(self.df, 0.0, scale)
    >>> network = vb.build_network(2, make_prior_fn=HeavyTails(df=4.0, scale=0.5, fan_in=True), seed=0)
    >>> model = vb.VariationalRegressor(prior=HeavyTails())
    """

    short_name: ClassVar[str | None] = None
    scale: float = 1.0
    fan_in: bool = False

    def __init__(self, *, scale: float = 1.0, fan_in: bool = False) -> None:
        self.scale = check_number(scale, "scale, a standard deviation,", strict=True)
        self.fan_in = bool(fan_in)

    def distribution(self, scale: tf.Tensor) -> tfd.Distribution:
        """Prior for given scales: a `tfd.Distribution` over (n,) weights, or n independent ones over one each.

        Parameters
        ----------
        scale : Tensor (n,)
            Result of `scales`: by default `scale` times the fan-in factor, for each weight, kernel first.
        """
        raise NotImplementedError

    def scales(self, factor: np.ndarray) -> np.ndarray:
        """Argument of `distribution`, from the fan-in factors (n,); override it for more than one scale per weight."""
        return self.scale * factor

    def make(self, weights: WeightsOfLayer, posterior: Any) -> Any:
        """Make a callable of the inputs that returns the prior; override it for variables or dependence on q.

        Parameters
        ----------
        weights : WeightsOfLayer
        posterior : Posterior or None
            The q(w) of the layer, if it is a `varbump.posteriors.Posterior`.
        """
        del posterior
        return FixedPrior(self, self.scales(weights.factor), weights.dtype)

    def after(self) -> Prior:
        """Prior of the layer that follows; itself if all layers have the same."""
        return self

    def tied(self, sizes: Sequence[int]) -> Prior:
        """Prior with one scale for each group of inputs, of these sizes; itself if it learns none for an input."""
        del sizes
        return self

    @classmethod
    def check_definition(cls) -> None:
        """Raise a TypeError that names the method missing from the subclass."""
        if cls.distribution is Prior.distribution and cls.make is Prior.make:
            raise TypeError(
                f"{cls.__name__} lacks the method distribution(self, scale), which returns the prior of the weights, "
                f"such as tfd.StudentT(3.0, 0.0, scale)"
            )

    def __call__(
        self,
        kernel_size: int,
        bias_size: int = 0,
        dtype: Any = None,
        *,
        num_inputs: int | None = None,
        posterior: Any = None,
    ) -> Any:
        """Make the prior over the ``kernel_size + bias_size`` weights of one layer, kernel first.

        Parameters
        ----------
        kernel_size, bias_size : int
            Number of weights; ``bias_size`` is 0 for a layer without bias.
        dtype : DType or str, default="float32"
        num_inputs : int, optional
            Fan-in of the layer; inferred from the sizes if omitted.
        posterior : Posterior, optional
            The q(w) of the layer: learned scales then take their optimal values for it.
        """
        inputs = count_inputs(kernel_size, bias_size, num_inputs)
        factor = np.ones(kernel_size + bias_size)
        if self.fan_in:
            factor[:kernel_size] /= np.sqrt(inputs)
        weights = WeightsOfLayer(kernel_size, bias_size, int(inputs), factor, tf.as_dtype(dtype or tf.float32))
        return self.make(weights, posterior)


class FixedPrior:
    """Prior without variables; calling it, with any argument, returns the distribution.

    Parameters
    ----------
    prior : Prior
    scales : ndarray (n,) or (n, ...)
        Scales of the weights.
    dtype : DType
    """

    def __init__(self, prior: Prior, scales: np.ndarray, dtype: tf.DType) -> None:
        self._prior, self._scales, self._dtype = prior, scales, dtype

    def __call__(self, inputs: Any = None) -> tfd.Distribution:
        """Return the distribution over the weights of the layer."""
        del inputs  # the convention of TFP's layers: a prior may, but need not, depend on the inputs
        distribution = self._prior.distribution(tf.constant(self._scales, self._dtype))
        return over_weights(distribution, f"{type(self._prior).__name__}.distribution")
