"""What every variational family is: variables, a draw as a function of noise, a density, and a KL."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from varbump.core.distributions import over_weights
from varbump.core.keras import keras
from varbump.forward.elbo import exact_kl

__all__ = ["Noise", "Posterior"]

Noise = Callable[[int, tf.DType], tf.Tensor]
"""Hands out as many standard normal numbers as it is asked for."""


class Posterior(keras.layers.Layer):
    """Variables of q(w) for the n weights of one layer. A subclass has two methods, `transform` and `distribution`.

    A Keras layer, so that whichever layer holds it tracks and saves its variables. Calling it, with
    anything, gives the distribution.

    Parameters
    ----------
    loc : ndarray (n,)
        Where the weights are at the start, as the factory draws them.
    dtype : DType
        Type of the variables.

    Attributes
    ----------
    loc : tf.Variable (n,)
        Starts at `loc`; the first of the variables. Further ones come from `add_variable`.
    num_weights : int
        n.
    num_noise : int
        Standard normal numbers that a draw takes, beside those of `preceding` layers; n unless a subclass says so.
    preceding : tuple of int or None
        Sizes of the layers on whose noise a draw depends too; None where a layer stands for itself.
    independent : bool
        Whether the weights are independent of each other, and each symmetric about its mean.

    See Also
    --------
    PosteriorFactory : Has an example of a family of one's own.
    """

    preceding: tuple[int, ...] | None = None
    independent = False

    def __init__(self, loc: np.ndarray, dtype: tf.DType, **kwargs: Any) -> None:
        super().__init__(dtype=dtype, **kwargs)
        self.num_weights = self.num_noise = len(loc)
        self.loc = self.add_variable("loc", loc)
        self.built = True

    def add_variable(self, name: str, start: Any) -> tf.Variable:
        """A trainable variable that starts at `start`, an array or a number; keep it as an attribute."""
        start = np.asarray(start)
        return self.add_weight(name=name, shape=start.shape, initializer=keras.initializers.Constant(start))

    def transform(self, noise: tf.Tensor) -> tf.Tensor:
        """The draw w, shape (n,), of standard normal noise: that of preceding layers, then `num_noise` of its own.

        Gradients go through it to the variables: no call of `sample` in it.
        """
        raise NotImplementedError

    def distribution(self) -> tfd.Distribution:
        """q(w), of which `transform` gives the draws: over (n,) weights, or n independent ones over a weight each."""
        raise NotImplementedError

    def __call__(self, inputs: Any = None) -> tfd.Distribution:
        """Return q(w); `inputs` are taken, as in TFP, and not looked at."""
        del inputs
        return over_weights(self.distribution(), f"{type(self).__name__}.distribution")

    @property
    def mean(self) -> tf.Tensor:
        """E[w], shape (n,): the variable `loc`; a family whose mean is elsewhere says so."""
        return tf.convert_to_tensor(self.loc)

    def variances(self) -> tf.Tensor:
        """Var[w_i], shape (n,)."""
        return self().variance()

    def log_prob(self, noise: tf.Tensor) -> tf.Tensor:
        """Log density of q, in nats, at the draw that `transform` makes of `noise`; given any preceding layers."""
        return self().log_prob(self.transform(noise))

    def entropy(self) -> tf.Tensor:
        """Entropy in nats; given the preceding layers, if any."""
        return self().entropy()

    def affine(self, inputs: tf.Tensor, num_units: int, noise: Noise) -> tf.Tensor:
        """``inputs @ kernel + bias`` (B, num_units) with a draw of its own for each row; None where not possible.

        The local reparameterisation: what is drawn are the outputs, not the weights.

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
        """How many of the trainable parameters stand for dependence between weights."""
        return 0

    def assign(self, loc: Any, covariance: Any) -> None:
        """Set mean (n,) and covariance (n, n), as far as the family can hold it."""
        raise NotImplementedError(f"{type(self).__name__} cannot take a covariance as it is")

    def kl(self, p: tfd.Distribution) -> tf.Tensor | None:
        """KL(q || p) in nats, of a joint q the layer's share; None where p has no closed form."""
        known = exact_kl(self(), p)
        if known is not None or not isinstance(p, tfd.MultivariateNormalDiag):
            return known
        try:
            return self.kl_to_normal(p)
        except NotImplementedError:  # no closed form of the entropy or of the moments
            return None

    def kl_to_normal(self, p: tfd.MultivariateNormalDiag) -> tf.Tensor:
        r"""KL(q || p) in nats to a diagonal normal p with means m and standard deviations s, of any q with moments.

        .. math:: \tfrac12 \sum_i \left[ (\mathrm{Var}[w_i] + (\operatorname{E}[w_i] - m_i)^2) / s_i^2
                  + \log 2 \pi s_i^2 \right] - \mathrm{H}(q)
        """
        s = p.stddev()
        fit = (self.variances() + tf.square(self.mean - p.mean())) / tf.square(s)
        cross_entropy = 0.5 * tf.reduce_sum(fit + math.log(2.0 * math.pi)) + tf.reduce_sum(tf.math.log(s))
        return cross_entropy - self.entropy()

    @classmethod
    def check_definition(cls) -> None:
        """Raise a TypeError that names the method that a subclass lacks."""
        if cls.transform is Posterior.transform:
            raise TypeError(
                f"{cls.__name__} lacks the method transform(self, noise), which returns a draw (n,) of q(w)"
            )
        if cls.distribution is Posterior.distribution:
            raise TypeError(f"{cls.__name__} lacks the method distribution(self), which returns q(w)")
