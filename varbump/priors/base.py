"""What every prior is: a distribution for the scales of the weights of a layer."""

from __future__ import annotations

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
    r"""What a prior knows of the weights w = (kernel, bias) that it is over.

    Attributes
    ----------
    kernel_size, bias_size : int
    num_inputs : int
        Fan-in of the layer.
    factor : ndarray (n,)
        What the scale of each weight is multiplied by: 1, or for the kernel :math:`1/\sqrt D`
        with `fan_in`.
    dtype : DType
    """

    kernel_size: int
    bias_size: int
    num_inputs: int
    factor: np.ndarray
    dtype: tf.DType


class Prior(Configured):
    """A prior p(w) over the weights of a layer. A subclass has one method, `distribution`.

    Parameters
    ----------
    scale : float, default=1.0
        Standard deviation (not variance) of every weight and bias, or what else the prior calls its scale.
    fan_in : bool, default=False
        Divide the scale of the kernel, not that of the bias, by the square root of the number of inputs.

    Attributes
    ----------
    short_name : str or None
        Of the class: what `VariationalRegressor(prior=...)` and the command line call it.

    Raises
    ------
    ValueError
        If `scale` is not a positive finite number.

    Notes
    -----
    A prior of one's own can be used wherever those of `varbump.priors` can. Registered, it can be saved too; loading
    needs the same registration. Arguments of its own `__init__` are kept as attributes of the same name.

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
        """The prior for given scales: one `tfd.Distribution` over (n,) weights, or n of them over one weight each.

        Parameters
        ----------
        scale : Tensor (n,)
            For each weight, kernel first, `scale` times the factor of the fan-in; what `scales` returned.
        """
        raise NotImplementedError

    def scales(self, factor: np.ndarray) -> np.ndarray:
        """What `distribution` is given, of the factors (n,) of the fan-in; for priors that need more than one scale."""
        return self.scale * factor

    def make(self, weights: WeightsOfLayer, posterior: Any) -> Any:
        """A callable of the inputs that returns the distribution; for priors that have variables or look at q.

        Parameters
        ----------
        weights : WeightsOfLayer
        posterior : Posterior or None
            The q(w) of the layer, where it is one of `varbump.posteriors`.
        """
        del posterior
        return FixedPrior(self, self.scales(weights.factor), weights.dtype)

    @classmethod
    def check_definition(cls) -> None:
        """Raise a TypeError that names the method that a subclass lacks."""
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
        """The prior over the ``kernel_size + bias_size`` weights of one layer, kernel first.

        Parameters
        ----------
        kernel_size, bias_size : int
            ``bias_size`` is 0 for a layer without bias.
        dtype : DType or str, default="float32"
        num_inputs : int, optional
            Fan-in of the layer; inferred from the sizes if omitted.
        posterior : Posterior, optional
            The q(w) that the prior is compared with: scales that are learned are then taken at their optimum.
        """
        inputs = count_inputs(kernel_size, bias_size, num_inputs)
        factor = np.ones(kernel_size + bias_size)
        if self.fan_in:
            factor[:kernel_size] /= np.sqrt(inputs)
        weights = WeightsOfLayer(kernel_size, bias_size, int(inputs), factor, tf.as_dtype(dtype or tf.float32))
        return self.make(weights, posterior)


class FixedPrior:
    """A prior without variables; calling it, with anything, gives the distribution.

    Parameters
    ----------
    prior : Prior
    scales : ndarray (n,) or (n, ...)
        Of the weights.
    dtype : DType
    """

    def __init__(self, prior: Prior, scales: np.ndarray, dtype: tf.DType) -> None:
        self._prior, self._scales, self._dtype = prior, scales, dtype

    def __call__(self, inputs: Any = None) -> tfd.Distribution:
        """The distribution over the weights of the layer."""
        del inputs  # the convention of TFP's layers: a prior may, but need not, look at the inputs
        distribution = self._prior.distribution(tf.constant(self._scales, self._dtype))
        return over_weights(distribution, f"{type(self._prior).__name__}.distribution")
