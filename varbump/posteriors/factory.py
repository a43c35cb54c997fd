"""Base of posterior factories: the initial means, and what the package needs to know of the family."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from varbump.core.checks import check_number
from varbump.core.configured import Configured
from varbump.core.fan_in import count_inputs
from varbump.core.random import host_seed
from varbump.posteriors.base import Posterior

__all__ = ["PosteriorFactory"]


class PosteriorFactory(Configured):
    """Base of factories of a family of q(w); subclasses define `make` and `variable_shapes`.

    Parameters
    ----------
    scale : float, default=0.05
        Initial standard deviation of every weight. The 0.69 with which a stock `MultivariateNormalTriL` starts
        compounds over layers until the loss overflows.
    loc_scale : float, default=1.0
        The initial means are independent normal draws with standard deviation ``loc_scale / sqrt(fan_in)``.

    Attributes
    ----------
    short_name : str or None
        Class attribute: its name in `VariationalRegressor(posterior=...)` and on the command line.
    best_estimator : {"shared", "flipout", "local"}
        Class attribute: the estimator of `varbump.layers.DenseVariational` whose gradients have the least noise.
        "shared" is valid for every family, "flipout" for those that are symmetric about their mean, and "local" for
        those with `Posterior.affine`.
    shares_noise : bool
        Class attribute: whether the weights of a layer depend on those of the layers before it. The layers then draw
        from one sequence of noise and have one seed, see `after`.

    Raises
    ------
    ValueError
        If `scale` is not positive and finite, or `loc_scale` is negative or not finite.

    Notes
    -----
    A user-defined family can be used wherever those of `varbump.posteriors` can. If registered, it can also be saved;
    loading needs the same registration. Arguments of its `__init__` must be stored as attributes of the same names.

    Examples
    --------
    Normals with one standard deviation for all weights of a layer: n + 1 parameters for n weights.

    >>> import numpy as np
    >>> import tensorflow as tf
    >>> import varbump as vb
    >>> from tensorflow_probability import distributions as tfd
    >>> class OneScale(vb.posteriors.Posterior):
    ...     def __init__(self, loc, scale, dtype):
    ...         super().__init__(loc, dtype)
    ...         self.log_scale = self.add_variable("log_scale", np.log(scale))
    ...
    ...     def transform(self, noise):
    ...         return self.loc + tf.exp(self.log_scale) * noise
    ...
    ...     def distribution(self):
    ...         return tfd.Normal(self.loc, tf.exp(self.log_scale))
    >>> @vb.register("OneScaleNormal")
    ... class OneScaleNormal(vb.posteriors.PosteriorFactory):
    ...     best_estimator = "flipout"
    ...
    ...     def make(self, loc, dtype):
    ...         return OneScale(loc, self.scale, dtype)
    ...
    ...     def variable_shapes(self, num_weights):
    ...         return [(num_weights,), ()]
    >>> network = vb.build_network(2, make_posterior_fn=OneScaleNormal(scale=0.1), estimator="flipout", seed=0)
    >>> model = vb.VariationalRegressor(posterior=OneScaleNormal())
    """

    short_name: ClassVar[str | None] = None
    best_estimator: ClassVar[str] = "shared"
    shares_noise: ClassVar[bool] = False
    scale: float = 0.05
    loc_scale: float = 1.0

    def __init__(self, *, scale: float = 0.05, loc_scale: float = 1.0) -> None:
        self.scale = check_number(scale, "scale, a standard deviation,", strict=True)
        self.loc_scale = check_number(loc_scale, "loc_scale")

    def make(self, loc: np.ndarray, dtype: tf.DType) -> Posterior:
        """Make the posterior of one layer.

        Parameters
        ----------
        loc : ndarray (n,)
            Initial means.
        dtype : DType
            Type of its variables.
        """
        raise NotImplementedError

    def variable_shapes(self, num_weights: int) -> list[tuple[int, ...]]:
        """Shapes of the variables of a layer of n weights, in the order in which they are created, `loc` first.

        Files are checked against them before anything is loaded.
        """
        raise NotImplementedError

    @classmethod
    def check_definition(cls) -> None:
        """Raise a TypeError that names a method missing from the subclass."""
        if cls.make is PosteriorFactory.make:
            raise TypeError(f"{cls.__name__} lacks the method make(self, loc, dtype), which returns a Posterior")
        if cls.variable_shapes is PosteriorFactory.variable_shapes:
            raise TypeError(
                f"{cls.__name__} lacks the method variable_shapes(self, num_weights), which returns the shapes of the "
                f"variables of its Posterior, such as [(num_weights,), (num_weights,)]"
            )

    def __call__(
        self,
        kernel_size: int,
        bias_size: int = 0,
        dtype: Any = None,
        *,
        num_inputs: int | None = None,
        seed: int | None = None,
    ) -> Posterior:
        """Make the posterior over the ``kernel_size + bias_size`` weights of one layer, kernel first.

        Parameters
        ----------
        kernel_size, bias_size : int
            Number of weights; ``bias_size`` is 0 for a layer without bias.
        dtype : DType or str, default="float32"
            Type of the variables.
        num_inputs : int, optional
            Fan-in of the layer; inferred from the sizes if omitted.
        seed : int, optional
            Seed of the initial means; if omitted, TensorFlow's global seed decides.
        """
        size = kernel_size + bias_size
        self.check_size(size)
        scale = self.loc_scale / np.sqrt(count_inputs(kernel_size, bias_size, num_inputs))
        loc = np.random.default_rng(self.start_seed(host_seed(seed))).normal(scale=scale, size=size)
        made = self.make(loc, tf.as_dtype(dtype or tf.float32))
        if not isinstance(made, Posterior):
            raise TypeError(f"{type(self).__name__}.make must return a varbump.posteriors.Posterior, got {made!r:.80}")
        made.check_definition()
        return made

    def start_seed(self, seed: int) -> Any:
        """Derive the seed of the initial means; overridden by families whose layers share one seed."""
        return seed

    def check_size(self, size: int) -> None:
        """Raise a ValueError if a layer is too large for the family."""

    def after(self, size: int) -> PosteriorFactory:
        """Factory of the layer that follows one of `size` weights; itself if layers are independent."""
        del size
        return self
