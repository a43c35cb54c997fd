"""Where the likelihood meets the KL: the one objective of the package."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow_probability import distributions as tfd

__all__ = ["exact_kl", "monte_carlo_kl", "negative_elbo"]


def negative_elbo(nll: Any, kl: Any, num_data: Any, kl_weight: Any = 1.0) -> Any:
    r"""The loss: the negative evidence lower bound, one observation's share of it.

    .. math:: -\mathrm{ELBO} / N = \operatorname{mean}_n(-\log p(y_n | x_n, w)) + \mathrm{KL}(q || p) / N

    Parameters
    ----------
    nll : Tensor ()
        Mean over observations of the negative log-likelihood, summed over outputs (nats per observation).
    kl : Tensor ()
        KL(q || p) in nats, summed over all weights of all layers.
    num_data : int
        N, the number of observations of the whole data set, never that of a batch.
    kl_weight : Tensor (), default=1
        Below 1 only while the KL warms up.

    Returns
    -------
    Tensor ()
        Nats per observation. Its expectation does not depend on the batch size.

    References
    ----------
    Blundell, Cornebise, Kavukcuoglu and Wierstra (2015), "Weight Uncertainty in Neural Networks", eq. 2 and 8.
    """
    return nll + kl_weight * kl / num_data


def exact_kl(q: tfd.Distribution, p: tfd.Distribution) -> tf.Tensor | None:
    """KL(q || p) in nats where `tfd.kl_divergence` knows the pair, otherwise None."""
    try:
        return tf.reduce_sum(tfd.kl_divergence(q, p))
    except NotImplementedError:
        return None


def monte_carlo_kl(log_q: tf.Tensor, p: tfd.Distribution, draw: tf.Tensor) -> tf.Tensor:
    """Unbiased estimate log q(w) - log p(w) of KL(q || p) in nats, from one draw w ~ q.

    With q the exact posterior, log p(y | w) less this is the log evidence for every draw.
    """
    return log_q - tf.reduce_sum(p.log_prob(draw))  # p may be a batch of scalars
