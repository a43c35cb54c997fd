"""A linear layer with known noise is Bayesian linear regression, which has a closed form."""

import numpy as np
import pytest
import scipy.stats

import varbump as vb

NOISE = 0.5


def problem(num_data=60, seed=0):
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


def fitted(x, y, make_posterior_fn, prior_scale=1.0, epochs=3000):
    model = vb.build_network(
        2, hidden_units=(), make_posterior_fn=make_posterior_fn, make_prior_fn=vb.priors.Normal(prior_scale), seed=0
    )
    history = vb.fit(
        model, vb.likelihoods.Normal(NOISE), x, y, epochs=epochs, batch_size=len(x), seed=0, verbose=0, kl_warmup=0.0
    )
    return model.layers[-1].posterior(None), history


def test_full_covariance_finds_the_posterior_and_the_evidence():
    x, y = problem()
    mean, covariance, log_evidence = truth(x, y)
    q, history = fitted(x, y, vb.posterior)
    sd = np.sqrt(np.diag(covariance))
    # the reparameterised gradient has noise at the optimum: over seeds, means are left 4 % of an sd off, and sds 3 %
    np.testing.assert_allclose(q.mean(), mean, atol=0.15 * sd.max())
    np.testing.assert_allclose(q.stddev(), sd, rtol=0.12)
    correlation = np.asarray(q.covariance()) / np.outer(q.stddev(), q.stddev())
    np.testing.assert_allclose(correlation, covariance / np.outer(sd, sd), atol=0.08)
    # mean over the last epochs: one draw of N nll has an sd of about sqrt(3/2) nats
    losses = np.array(history.history["loss"][-500:]) * len(x)
    error = losses.std() / np.sqrt(len(losses))
    assert -losses.mean() == pytest.approx(log_evidence, abs=5 * error + 0.02)


def test_mean_field_finds_what_theory_says_it_must():
    x, y = problem()
    mean, covariance, _ = truth(x, y)
    q, _ = fitted(x, y, vb.posteriors.MeanFieldNormal())
    expected = np.diag(np.linalg.inv(covariance)) ** -0.5  # smaller than the marginal sd: inputs correlate
    np.testing.assert_allclose(q.mean(), mean, atol=0.15 * expected.max())
    np.testing.assert_allclose(q.stddev(), expected, rtol=0.12)  # the marginal sd is 30 % larger for the kernel


def test_four_times_the_data_halves_the_sd():
    x, y = problem()
    once, _ = fitted(x, y, vb.posterior, prior_scale=100.0)
    four, _ = fitted(np.tile(x, (4, 1)), np.tile(y, (4, 1)), vb.posterior, prior_scale=100.0)
    np.testing.assert_allclose(once.stddev() / four.stddev(), 2.0, rtol=0.1)


@pytest.mark.parametrize("family", [vb.posterior, vb.posteriors.MeanFieldNormal()])
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
