"""A linear layer with known noise is Bayesian linear regression, which has a closed form."""

import hypothesis
import numpy as np
import pytest
import registry
import scipy.stats
from exact_linear import LIKELIHOOD, NOISE, problem, truth
from hypothesis import strategies as st

import varbump as vb


def linear(make_posterior_fn, prior_scale=1.0, estimator="flipout", dtype=None, num_features=2):
    return vb.build_network(
        num_features,
        hidden_units=(),
        make_posterior_fn=make_posterior_fn,
        make_prior_fn=vb.priors.Normal(prior_scale),
        estimator=estimator,
        dtype=dtype,
        seed=0,
    )


def fitted(x, y, make_posterior_fn, prior_scale=1.0, estimator="flipout", num_samples=8):
    """Trained with little noise in the gradient: what is left of it at the optimum bounds the tolerances below."""
    network = linear(make_posterior_fn, prior_scale, estimator)
    options = {"epochs": 3000, "batch_size": len(x), "num_samples": num_samples, "kl_warmup": 0.0}
    vb.fit(network, LIKELIHOOD, x, y, seed=0, verbose=0, **options)
    return network


@pytest.mark.slow
@pytest.mark.parametrize(
    "family",
    [
        vb.posterior,
        pytest.param(vb.posteriors.JointNormal(), marks=pytest.mark.slow),
        pytest.param(vb.posteriors.LowRankNormal(rank=3), marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_full_covariance_finds_the_posterior_and_the_evidence(family, seed):
    x, y = problem(seed=seed)
    mean, covariance, log_evidence = truth(x, y)
    local = isinstance(family, vb.posteriors.LowRankNormal)
    network = fitted(x, y, family, estimator="local" if local else "flipout")
    q, sd = network.layers[-1].posterior(None), np.sqrt(np.diag(covariance))
    # over seeds 0 ... 9, means are left up to 0.04 sd off and sds up to 3 %
    np.testing.assert_allclose((q.mean() - mean) / sd, 0, atol=0.05)
    np.testing.assert_allclose(q.stddev(), sd, rtol=0.05)
    correlation = np.asarray(q.covariance()) / np.outer(q.stddev(), q.stddev())
    np.testing.assert_allclose(correlation, covariance / np.outer(sd, sd), atol=0.05)
    assert vb.estimate_elbo(network, LIKELIHOOD, x, y, num_draws=1000, seed=0).elbo == pytest.approx(
        log_evidence, rel=1e-3
    )


@pytest.mark.slow
def test_loss_of_the_history_is_the_negative_evidence():
    x, y = problem()
    network = linear(vb.posterior)
    history = vb.fit(network, LIKELIHOOD, x, y, epochs=4000, batch_size=60, seed=0, verbose=0, kl_warmup=0.0)
    losses = np.array(history.history["loss"][-1000:]) * len(x)
    error = losses.std() / np.sqrt(len(losses))  # one draw of N nll has an sd of about sqrt(3/2) nats
    assert -losses.mean() == pytest.approx(truth(x, y)[2], abs=5 * error + 0.02)


@pytest.mark.parametrize("family", [vb.posterior, vb.posteriors.JointNormal()])
def test_every_draw_of_the_exact_posterior_gives_the_log_evidence(family):
    x, y = problem()
    x, y = x.astype(float), y.astype(float)
    mean, covariance, log_evidence = truth(x, y)
    network = linear(family, dtype="float64")
    network.layers[-1].posterior.assign(mean, covariance)
    estimate = vb.estimate_elbo(network, LIKELIHOOD, x, y, num_draws=20, seed=0)
    assert estimate.elbo == pytest.approx(log_evidence, rel=1e-10)
    assert estimate.standard_error < 1e-10
    assert estimate.loss == pytest.approx(-log_evidence / 60, rel=1e-10)


def exact_elbo(network, x, y):
    """With the expectation of the nll in closed form, and the KL of the package."""
    q = network.layers[-1].posterior
    m, covariance = np.array(q(None).mean(), float), np.array(q(None).covariance(), float)
    phi = np.hstack([x, np.ones((len(x), 1))]).astype(float)
    squares = np.sum((y[:, 0] - phi @ m) ** 2) + np.trace(phi @ covariance @ phi.T)
    nll = 0.5 * squares / NOISE**2 + len(x) * (np.log(NOISE) + 0.5 * np.log(2 * np.pi))
    return -nll - float(q.kl(network.layers[-1].prior(None)))


@pytest.mark.parametrize(
    "family", registry.first_fast(registry.flatten(registry.POSTERIORS), ("FullCovarianceNormal",)), ids=registry.name
)
@hypothesis.given(seed=st.integers(0, 2**16), prior_scale=st.floats(0.1, 10.0))
@hypothesis.settings(max_examples=15, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
def test_elbo_is_never_above_the_evidence(family, seed, prior_scale):
    x, y = problem(seed=seed)
    log_evidence = truth(x, y, prior_scale)[2]
    network = linear(family, prior_scale, "shared", "float64")
    registry.perturbed(network.layers[-1].posterior, seed)
    elbo = exact_elbo(network, x, y)
    assert elbo <= log_evidence + 1e-9 * abs(log_evidence)
    mean, covariance, _ = truth(x, y, prior_scale)
    if isinstance(family, vb.posteriors.FullCovarianceNormal):  # and equal where q can be the posterior
        network.layers[-1].posterior.assign(mean, covariance)
        assert exact_elbo(network, x, y) == pytest.approx(log_evidence, rel=1e-9)


@pytest.mark.parametrize(
    "family", registry.first_fast(registry.flatten(registry.POSTERIORS), ("FullCovarianceNormal",)), ids=registry.name
)
def test_estimate_of_the_elbo_is_unbiased(family):
    x, y = problem()
    network = linear(family, dtype="float64")
    registry.perturbed(network.layers[-1].posterior)
    estimate = vb.estimate_elbo(network, LIKELIHOOD, x, y, num_draws=4000, seed=0)
    exact = exact_elbo(network, x.astype("float64"), y.astype("float64"))
    assert abs(estimate.elbo - exact) < 5 * estimate.standard_error  # false alarm in 1 of 1.7 million
    assert estimate.standard_error < 0.02 * abs(exact)


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["local", pytest.param("flipout", marks=pytest.mark.slow)])
def test_mean_field_finds_what_theory_says_it_must(estimator):
    x, y = problem()
    mean, covariance, _ = truth(x, y)
    q = fitted(x, y, vb.posteriors.MeanFieldNormal(), estimator=estimator).layers[-1].posterior(None)
    expected = np.diag(np.linalg.inv(covariance)) ** -0.5  # smaller than the marginal sd: inputs correlate
    np.testing.assert_allclose((q.mean() - mean) / expected, 0, atol=0.05)
    np.testing.assert_allclose(q.stddev(), expected, rtol=0.05)  # the marginal sd is 30 % larger for the kernel


@pytest.mark.slow
def test_simulation_based_calibration():
    """Weights from the prior, data from them: the rank of a true weight among draws of q is uniform.

    400 simulations, 40 at a time as the columns of y. Talts et al. (2018), "Validating Bayesian Inference Algorithms
    with Simulation-Based Calibration".
    """
    ranks, inside, generator = [], [], np.random.default_rng(0)
    for _ in range(10):
        x, _ = problem(40, seed=int(generator.integers(2**31)))
        phi = np.hstack([x, np.ones((len(x), 1))])
        w = generator.standard_normal((3, 40))
        y = (phi @ w + NOISE * generator.standard_normal((40, 40))).astype("float32")
        network = vb.build_network(2, hidden_units=(), num_outputs=40, estimator="flipout", seed=0)
        vb.fit(network, LIKELIHOOD, x, y, epochs=3000, batch_size=40, num_samples=4, seed=0, verbose=0, kl_warmup=0.0)
        at = np.array([[1.0, 0.0], [0.0, 0.0]], "float32")  # f(1, 0) - f(0, 0) is the first weight
        f = vb.predict_f(network, at, num_draws=199, seed=0)
        draws = f[:, 0] - f[:, 1]
        ranks += list((draws < w[0]).sum(0))
        inside += list((np.quantile(draws, 0.05, axis=0) < w[0]) & (w[0] < np.quantile(draws, 0.95, axis=0)))
    counts = np.histogram(ranks, bins=20, range=(0, 200))[0]
    assert scipy.stats.chisquare(counts).pvalue > 1e-4
    assert 0.838 <= np.mean(inside) <= 0.953


@pytest.mark.slow
def test_four_times_the_data_halves_the_sd():
    x, y = problem()
    tiled = np.tile(x, (4, 1)), np.tile(y, (4, 1))
    once, four = (fitted(*data, vb.posterior, 100.0).layers[-1].posterior(None).stddev() for data in [(x, y), tiled])
    np.testing.assert_allclose(once / four, 2.0, rtol=0.06)  # twice the 3 % of a single one


@pytest.mark.slow
@pytest.mark.parametrize(
    "family", [vb.posterior, pytest.param(vb.posteriors.MeanFieldNormal(), marks=pytest.mark.slow)]
)
def test_predictive_moments_are_those_of_the_closed_form(family):
    x, y = problem()
    mean, covariance, _ = truth(x, y)
    if family is not vb.posterior:
        covariance = np.diag(1 / np.diag(np.linalg.inv(covariance)))
    model = vb.build_network(2, hidden_units=(), make_posterior_fn=family, seed=0)
    likelihood = vb.likelihoods.Normal(NOISE)
    vb.fit(model, likelihood, x, y, epochs=3000, batch_size=60, seed=0, verbose=0, kl_warmup=0.0)
    at = np.array([[0.0, 0.0], [2.0, -1.0]], "float32")
    phi = np.hstack([at, np.ones((2, 1))])
    variance = np.einsum("ij,jk,ik->i", phi, covariance, phi)
    f = vb.credible_bands(vb.predict_f(model, at, num_draws=4000, seed=0))
    observed = vb.credible_bands(vb.predict_y(model, likelihood, at, num_draws=4000, seed=0))
    # 4,000 draws: an sd is known to 1.1 %; training leaves 3 %
    np.testing.assert_allclose(f.mean[:, 0], phi @ mean, atol=0.15 * np.sqrt(variance).max())
    np.testing.assert_allclose(f.sd[:, 0], np.sqrt(variance), rtol=0.12)
    np.testing.assert_allclose(observed.sd[:, 0], np.sqrt(variance + NOISE**2), rtol=0.12)
