"""The KL has its closed form wherever q and p are normal, of any class, and the history says where it has none."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import varbump as vb
from varbump.forward.elbo import exact_kl

tfd = tfp.distributions
N = 4
RNG = np.random.default_rng(0)
A = RNG.normal(size=(N, N))
FULL = A @ A.T + np.eye(N)
LOC, SCALE = RNG.normal(size=N), RNG.uniform(0.5, 2.0, size=N)
DIAG, TRIL = np.diag(SCALE**2), np.linalg.cholesky(FULL)
COLUMN = A[:, :1]
LOW = np.diag(SCALE) + COLUMN @ COLUMN.T  # the scale of DiagPlusLowRank, whose covariance is its square

PRIORS = {
    "Diag": (lambda: tfd.MultivariateNormalDiag(LOC, SCALE), DIAG),
    "TriL": (lambda: tfd.MultivariateNormalTriL(LOC, TRIL), FULL),
    "FullCovariance": (lambda: tfd.MultivariateNormalFullCovariance(LOC, FULL), FULL),
    "DiagPlusLowRank": (
        lambda: tfd.MultivariateNormalDiagPlusLowRank(LOC, scale_diag=SCALE, scale_perturb_factor=COLUMN),
        LOW @ LOW.T,
    ),
    "DiagPlusLowRankCovariance": (
        lambda: tfd.MultivariateNormalDiagPlusLowRankCovariance(LOC, SCALE**2, COLUMN),
        DIAG + COLUMN @ COLUMN.T,
    ),
    "Independent": (lambda: tfd.Independent(tfd.Normal(LOC, SCALE), 1), DIAG),
    "Independent of a broadcast": (lambda: tfd.Independent(tfd.Normal(LOC, np.float64(0.5)), 1), 0.25 * np.eye(N)),
    "batch": (lambda: tfd.Normal(LOC, SCALE), DIAG),
    "Sample": (lambda: tfd.Sample(tfd.Normal(np.float64(0.3), 2.0), N), 4.0 * np.eye(N)),
    "a layer's": (
        lambda: tfp.layers.DistributionLambda(lambda t: tfd.Independent(tfd.Normal(LOC, SCALE), 1))(tf.zeros([1, 1])),
        DIAG,
    ),
}
"""Distributions of TFP with their covariance; the mean is LOC, or 0.3 for "Sample"."""

FAMILIES = {
    "MeanFieldNormal": vb.posteriors.MeanFieldNormal(scale=0.5),
    "FullCovarianceNormal": vb.posteriors.FullCovarianceNormal(scale=0.5),
    "LowRankNormal": vb.posteriors.LowRankNormal(scale=0.5, rank=2),
}


def mean_of(name):
    return np.full(N, 0.3) if name == "Sample" else LOC


def kl_of_normals(mean_q, cov_q, mean_p, cov_p):
    """The textbook formula, in float64."""
    d = mean_p - mean_q
    fit = np.trace(np.linalg.solve(cov_p, cov_q)) + d @ np.linalg.solve(cov_p, d)
    return 0.5 * (fit - len(d) + np.linalg.slogdet(cov_p)[1] - np.linalg.slogdet(cov_q)[1])


def moved(factory, *sizes):
    """A posterior in float64, away from its start."""
    q = factory(*sizes, "float64", seed=0)
    for index, variable in enumerate(q.trainable_variables):
        variable.assign_add(np.random.default_rng(index).normal(scale=0.3, size=variable.shape))
    return q


@pytest.mark.filterwarnings("ignore")  # TFP calls FullCovariance deprecated
@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("family", FAMILIES)
def test_our_posteriors_against_the_priors_of_tfp(family, prior):
    q, (make, covariance) = moved(FAMILIES[family], N - 1, 1), PRIORS[prior]
    expected = kl_of_normals(q.mean.numpy(), q().covariance().numpy(), mean_of(prior), covariance)
    assert float(q.kl(make())) == pytest.approx(expected, rel=1e-9)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "posterior", ["Independent", *(pytest.param(n, marks=pytest.mark.slow) for n in PRIORS if n != "Independent")]
)
def test_posteriors_of_tfp_against_our_priors_and_those_of_tfp(posterior):
    make, covariance = PRIORS[posterior]
    for p, cov_p, mean_p in [
        (vb.priors.Normal(0.7, loc=0.2)(N - 1, 1, "float64")(None), 0.49 * np.eye(N), np.full(N, 0.2)),
        *((other(), cov, mean_of(name)) for name, (other, cov) in PRIORS.items()),
    ]:
        expected = kl_of_normals(mean_of(posterior), covariance, mean_p, cov_p)
        assert float(exact_kl(make(), p)) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_shares_of_a_joint_posterior_add_up_against_dependent_priors():
    first = vb.posteriors.JointNormal(scale=0.5)
    layers = [moved(first, N - 1, 1), moved(first.after(N), N - 1, 1)]
    dense = [np.asarray(layer.square_root()) for layer in layers]
    root = np.zeros((2 * N, 2 * N))
    root[:N, :N] = dense[0]
    unit = 1.0 / np.sqrt(2 * N)  # the scale of the block and of the triangle of the second layer
    diag, block = layers[1].diag.numpy(), layers[1].trainable_variables[-1].numpy()
    root[N:, :N] = unit * diag[:, None] * block
    marginal = dense[1] @ dense[1].T
    root[N:, N:] = np.linalg.cholesky(marginal - root[N:, :N] @ root[N:, :N].T)
    mean = np.concatenate([layer.mean.numpy() for layer in layers])
    both = np.kron(np.eye(2), FULL)
    expected = kl_of_normals(mean, root @ root.T, np.concatenate([LOC, LOC]), both)
    prior = tfd.MultivariateNormalTriL(LOC, TRIL)
    assert sum(float(layer.kl(prior)) for layer in layers) == pytest.approx(expected, rel=1e-9)


def dependent_prior(kernel_size, bias_size=0, dtype=None):
    n = kernel_size + bias_size
    factor = tf.linalg.cholesky(0.5 * tf.eye(n, dtype=dtype) + 0.5)
    return lambda inputs: tfd.MultivariateNormalTriL(tf.zeros(n, dtype), factor)


@pytest.mark.parametrize("family", FAMILIES)
def test_stock_layers_find_the_closed_forms_too(family):
    q = moved(FAMILIES[family], 3, 1)
    p = dependent_prior(3, 1, tf.float64)(None)
    assert float(tfd.kl_divergence(q(), p)) == pytest.approx(float(q.kl(p)), rel=1e-9)


X = np.linspace(-1, 1, 40)[:, None]


@pytest.mark.slow
def test_the_history_and_the_health_report_say_where_the_kl_is_estimated():
    likelihood, made = vb.likelihoods.Normal(0.1), {"hidden_units": (), "seed": 0}
    network = vb.build_network(1, make_prior_fn=dependent_prior, **made)
    history = vb.fit(network, likelihood, X, X, epochs=3, verbose=0, seed=0)
    assert history.kl_is_exact
    assert history.estimated_kl == ()
    q, p = network.layers[-1].posterior, network.layers[-1].prior(None)
    # in float32
    assert history.history["kl"][-1] == pytest.approx(float(q.kl(p)), rel=1e-4)
    mixture = vb.build_network(1, make_prior_fn=vb.priors.ScaleMixtureNormal(), **made)
    history = vb.fit(mixture, likelihood, X, X, epochs=3, verbose=0, seed=0)
    assert not history.kl_is_exact
    assert history.estimated_kl == ("output",)
    assert repr(history).endswith("KL by Monte Carlo in output")
    report = vb.health_report(mixture, likelihood, X, X, num_draws=5)
    assert "estimates the KL of output by Monte Carlo" in " ".join(str(report).split())
