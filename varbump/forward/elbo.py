"""The ELBO, the only objective of the package."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow_probability import distributions as tfd

__all__ = ["as_normal", "exact_kl", "monte_carlo_kl", "negative_elbo"]


def negative_elbo(nll: Any, kl: Any, num_data: Any, kl_weight: Any = 1.0) -> Any:
    r"""Compute the loss, the negative evidence lower bound (ELBO) per observation.

    .. math:: -\mathrm{ELBO} / N = \operatorname{mean}_n(-\log p(y_n | x_n, w)) + \mathrm{KL}(q || p) / N

    Parameters
    ----------
    nll : Tensor ()
        Mean over observations of the negative log-likelihood, summed over outputs (nats per observation).
    kl : Tensor ()
        KL(q || p) in nats, summed over all weights of all layers.
    num_data : int
        N, the number of observations in the whole data set, not in a batch.
    kl_weight : Tensor (), default=1
        KL weight, below 1 during the warm-up; 1 for the ELBO.

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
    """Compute KL(q || p) in nats if `tfd.kl_divergence` knows the pair or both are normal, otherwise return None."""
    try:
        return tf.reduce_sum(tfd.kl_divergence(q, p))
    except NotImplementedError:  # it knows normals of one class only
        normal_q, normal_p = as_normal(q), as_normal(p)
        if normal_q is None or normal_p is None:
            return None
        return tf.reduce_sum(tfd.kl_divergence(normal_q, normal_p))


def as_normal(distribution: tfd.Distribution) -> tfd.MultivariateNormalLinearOperator | None:
    """Return the normal over n weights that a distribution of any class is, as a class with a `scale`; otherwise None.

    Independent normals, of whatever class, become a `MultivariateNormalDiag`.
    """
    distribution = getattr(distribution, "tensor_distribution", distribution)  # made by a layer of TFP
    if isinstance(distribution, tfd.MultivariateNormalLinearOperator):
        return distribution
    if isinstance(distribution, tfd.MultivariateNormalDiagPlusLowRankCovariance):
        return tfd.MultivariateNormalTriL(distribution.mean(), tf.linalg.cholesky(distribution.covariance()))
    shape, each = distribution.batch_shape + distribution.event_shape, distribution
    while isinstance(each, (tfd.Independent, tfd.Sample)):
        each = each.distribution
    if not isinstance(each, tfd.Normal) or shape.rank != 1:
        return None
    return tfd.MultivariateNormalDiag(tf.broadcast_to(each.loc, shape), tf.broadcast_to(each.scale, shape))


def monte_carlo_kl(log_q: tf.Tensor, p: tfd.Distribution, draw: tf.Tensor) -> tf.Tensor:
    """Estimate KL(q || p) in nats, unbiased, by log q(w) - log p(w) of one draw w ~ q.

    If q is the exact posterior, log p(y | w) minus this estimate is the log evidence for every draw.
    """
    return log_q - tf.reduce_sum(p.log_prob(draw))  # p may be a batch of scalars
