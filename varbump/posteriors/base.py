"""Base of variational families: variables, a draw as a function of noise, a density, and a KL."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from varbump.core.distributions import over_weights
from varbump.core.keras import Layer, keras
from varbump.forward.elbo import as_normal, exact_kl

__all__ = ["Noise", "Posterior"]

Noise = Callable[[int, tf.DType], tf.Tensor]
"""Function of a size and a dtype that returns standard normal numbers."""


class Posterior(Layer):
    """Base of distributions q(w) over the n weights of one layer; subclasses define `transform` and `distribution`.

    It is a Keras layer, so the layer that holds it tracks and saves its variables. Calling it, with any argument,
    returns the distribution.

    Parameters
    ----------
    loc : ndarray (n,)
        Initial values of the means, as drawn by the factory.
    dtype : DType
        Type of the variables.

    Attributes
    ----------
    loc : tf.Variable (n,)
        First of the variables, initially the argument `loc`. Others are added by `add_variable`.
    num_weights : int
        n.
    num_noise : int
        Standard normal numbers that a draw takes, besides those of `preceding` layers; n unless a subclass sets it.
    preceding : tuple of int or None
        Sizes of the preceding layers on whose noise a draw depends too; None if the layer is independent of others.
    independent : bool
        Whether the weights are independent of each other, and each is symmetric about its mean.

    See Also
    --------
    PosteriorFactory : Has an example of a user-defined family.
    """

    preceding: tuple[int, ...] | None = None
    independent = False

    def __init__(self, loc: np.ndarray, dtype: tf.DType, **kwargs: Any) -> None:
        super().__init__(dtype=dtype, **kwargs)
        self.num_weights = self.num_noise = len(loc)
        self.loc = self.add_variable("loc", loc)
        self.built = True

    def add_variable(self, name: str, start: Any) -> tf.Variable:
        """Add a trainable variable with initial value `start`, an array or a number; keep it as an attribute."""
        start = np.asarray(start)
        return self.add_weight(name=name, shape=start.shape, initializer=keras.initializers.Constant(start))

    def transform(self, noise: tf.Tensor) -> tf.Tensor:
        """Draw w, shape (n,), from standard normal noise: that of preceding layers, then `num_noise` of its own.

        Gradients flow through it to the variables, so it must not call `sample`.
        """
        raise NotImplementedError

    def distribution(self) -> tfd.Distribution:
        """q(w), the distribution of what `transform` draws: over (n,) weights, or n independent ones over one each."""
        raise NotImplementedError

    def __call__(self, inputs: Any = None) -> tfd.Distribution:
        """Return q(w); `inputs` are accepted, as in TFP, and ignored."""
        del inputs
        return over_weights(self.distribution(), f"{type(self).__name__}.distribution")

    @property
    def mean(self) -> tf.Tensor:
        """E[w], shape (n,): the variable `loc`; families with another mean override it."""
        return tf.convert_to_tensor(self.loc)

    def variances(self) -> tf.Tensor:
        """Var[w_i], shape (n,)."""
        return self().variance()

    def log_prob(self, noise: tf.Tensor) -> tf.Tensor:
        """Log density of q, in nats, at ``transform(noise)``; conditional on any preceding layers."""
        return self().log_prob(self.transform(noise))

    def entropy(self) -> tf.Tensor:
        """Entropy in nats; conditional on any preceding layers."""
        return self().entropy()

    def affine(self, inputs: tf.Tensor, num_units: int, noise: Noise) -> tf.Tensor:
        """Draw ``inputs @ kernel + bias`` (B, num_units) separately for each row, by local reparameterisation.

        The outputs are drawn, not the weights. Families that cannot do this leave it undefined, see `has_affine`.

        References
        ----------
        Kingma, Salimans and Welling (2015), "Variational Dropout and the Local Reparameterization Trick", eq. 6.
        """
        raise NotImplementedError

    @property
    def has_affine(self) -> bool:
        """Whether the family can draw outputs row by row."""
        return type(self).affine is not Posterior.affine

    @property
    def num_covariances(self) -> int:
        """Number of trainable parameters that describe dependence between weights."""
        return 0

    def assign(self, loc: Any, covariance: Any) -> None:
        """Set the mean (n,) and the covariance (n, n), as far as the family can represent it."""
        raise NotImplementedError(f"{type(self).__name__} cannot take a covariance as it is")

    def kl(self, p: tfd.Distribution) -> tf.Tensor | None:
        """KL(q || p) in nats, or the layer's share for a joint q; None if there is no closed form."""
        known, normal = exact_kl(self(), p), as_normal(p)
        if known is not None or not isinstance(normal, tfd.MultivariateNormalDiag):
            return known
        try:
            return self.kl_to_normal(normal)
        except NotImplementedError:  # no closed form of the entropy or of the moments
            return None

    def kl_to_normal(self, p: tfd.MultivariateNormalDiag) -> tf.Tensor:
        r"""KL(q || p) in nats for any q with moments and a diagonal normal p with means m and standard deviations s.

        .. math:: \tfrac12 \sum_i \left[ (\mathrm{Var}[w_i] + (\operatorname{E}[w_i] - m_i)^2) / s_i^2
                  + \log 2 \pi s_i^2 \right] - \mathrm{H}(q)
        """
        s = p.stddev()
        fit = (self.variances() + tf.square(self.mean - p.mean())) / tf.square(s)
        cross_entropy = 0.5 * tf.reduce_sum(fit + math.log(2.0 * math.pi)) + tf.reduce_sum(tf.math.log(s))
        return cross_entropy - self.entropy()

    @classmethod
    def check_definition(cls) -> None:
        """Raise a TypeError that names a method missing from the subclass."""
        if cls.transform is Posterior.transform:
            raise TypeError(
                f"{cls.__name__} lacks the method transform(self, noise), which returns a draw (n,) of q(w)"
            )
        if cls.distribution is Posterior.distribution:
            raise TypeError(f"{cls.__name__} lacks the method distribution(self), which returns q(w)")
