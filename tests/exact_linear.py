"""Linear regression with known noise, whose posterior has a closed form."""

import functools

import numpy as np
import scipy.stats
from sklearn.base import BaseEstimator, RegressorMixin

import varbump as vb

NOISE = 0.5
LIKELIHOOD = vb.likelihoods.Normal(NOISE)


def linear(shrink=1.0, num_data=60, seed=0):
    """Network in float64 whose q is the exact posterior, with its sds times `shrink`, and its data."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(num_data, 2)) @ np.array([[1.0, 0.6], [0.0, 0.8]])
    weights = generator.normal(size=3)  # drawn from the prior
    y = x @ weights[:2] + weights[2] + NOISE * generator.normal(size=num_data)
    phi = np.hstack([x, np.ones((num_data, 1))])
    covariance = np.linalg.inv(phi.T @ phi / NOISE**2 + np.eye(3))
    mean = covariance @ phi.T @ y / NOISE**2
    network = vb.build_network(2, hidden_units=(), make_prior_fn=vb.priors.Normal(1.0), dtype="float64", seed=0)
    network.layers[-1].posterior.assign(mean, shrink**2 * covariance)
    return network, x, y[:, None], weights, mean, covariance


def problem(num_data=60, seed=0):
    """Rows of one line, float32: x (N, 2) and y (N, 1)."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(num_data, 2)) @ np.array([[1.0, 0.6], [0.0, 0.8]])
    y = x @ [1.0, -0.5] + 0.3 + NOISE * generator.normal(size=num_data)
    return x.astype("float32"), y.astype("float32")[:, None]


def truth(x, y, prior_scale=1.0):
    """Mean and covariance of the weights (kernel, bias), and the log evidence."""
    phi = np.hstack([x, np.ones((len(x), 1))]).astype(float)
    precision = phi.T @ phi / NOISE**2 + np.eye(3) / prior_scale**2
    covariance = np.linalg.inv(precision)
    mean = covariance @ phi.T @ y[:, 0] / NOISE**2
    marginal = NOISE**2 * np.eye(len(x)) + prior_scale**2 * phi @ phi.T
    return mean, covariance, scipy.stats.multivariate_normal(cov=marginal).logpdf(y[:, 0].astype(float))


def fresh(weights, num_data, seed=1):
    """New rows of the law with these weights, (3,), or (num_data, 3) for weights of its own for each row."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(num_data, 2)) @ np.array([[1.0, 0.6], [0.0, 0.8]])
    weights = np.broadcast_to(weights, (num_data, 3))
    return x, np.sum(x * weights[:, :2], 1) + weights[:, 2] + NOISE * generator.normal(size=num_data)


def from_posterior(mean, covariance, num_data, seed=1):
    """New rows, each with weights of its own drawn from the posterior, for which the predictive is exact.

    Rows of ONE truth share the error of the posterior mean, so that their PITs are uniform only on average over truths.
    """
    weights = np.random.default_rng(seed + 100).multivariate_normal(mean, covariance, size=num_data)
    return fresh(weights, num_data, seed)


_same_linear = functools.cache(linear)


class ExactRegressor(RegressorMixin, BaseEstimator):
    """An estimator with a predictive distribution, that of the network above, whatever it is fitted to."""

    def fit(self, X, y):
        self.n_features_in_ = np.shape(X)[1]
        return self

    def predict(self, X):
        return self.predict_dist(X).mean()

    def predict_dist(self, X):
        network, *_ = _same_linear()
        made = vb.predict_dist(network, X, likelihood=LIKELIHOOD, num_draws=20)
        return made.through(lambda mixture, rows: mixture, single_target=True)
