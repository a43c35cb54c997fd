"""Importance resampling from an inducing point posterior: densities by SciPy, a linear model in closed form, NUTS."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

import varbump as vb
from varbump.inference.importance.inducing import InducingPosterior

NOISE = 0.4
QUICK = {"num_steps": 20, "num_draws": 10, "num_candidates": 3, "num_inducing": 5, "num_samples": 2, "verbose": 0}


def line(num_data=40, num_features=3, seed=0):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(num_data, num_features))
    y = x @ generator.normal(size=(num_features, 1)) + 0.5 + NOISE * generator.normal(size=(num_data, 1))
    return x, y


def network_of(prior, hidden_units=(4,), num_features=2, **options):
    return vb.build_network(
        num_features,
        hidden_units=hidden_units,
        make_posterior_fn=vb.posteriors.MeanFieldNormal(),
        make_prior_fn=prior,
        seed=0,
        dtype="float64",
        **options,
    )


@pytest.mark.parametrize("prior", [vb.priors.Normal(0.7, loc=0.2, fan_in=True), vb.priors.Laplace(0.5)])
def test_densities_are_those_of_regression_on_the_pseudo_data(prior):
    layer = network_of(prior).layers[-2]
    generator = np.random.default_rng(1)
    inputs, outputs = generator.normal(size=(6, 2)), generator.normal(size=(6, 4))
    posterior = InducingPosterior([layer], inputs, outputs, 3.0, seed=0)
    precisions = generator.uniform(0.5, 5.0, 6)
    posterior.variables[-1].assign(np.log(precisions))
    noise = generator.normal(size=12)
    w, log_q, kl = (np.asarray(v) for v in posterior.draw(0, tf.constant(inputs), tf.constant(noise)))

    p = layer.prior(None)
    m, s = np.reshape(p.mean(), (3, 4)), np.reshape(p.stddev(), (3, 4))
    phi = np.hstack([inputs, np.ones((6, 1))])
    expected_q, expected_kl = 0.0, 0.0
    for unit in range(4):  # s is the same for all units, so this is the exact conditional
        precision = phi.T @ np.diag(precisions) @ phi + np.diag(s[:, unit] ** -2)
        right = phi.T @ (precisions * outputs[:, unit]) + m[:, unit] / s[:, unit] ** 2
        q = scipy.stats.multivariate_normal(np.linalg.solve(precision, right), np.linalg.inv(precision))
        expected_q += q.logpdf(w.reshape(3, 4)[:, unit])
        ratio = q.cov / s[:, [unit]] ** 2
        apart = (q.mean - m[:, unit]) / s[:, unit]
        expected_kl += 0.5 * (np.trace(ratio) + apart @ apart - 3 - np.linalg.slogdet(ratio)[1])
    np.testing.assert_allclose(log_q, expected_q, rtol=1e-10)
    if isinstance(prior, vb.priors.Laplace):  # no closed form: the estimate from the draw
        expected_kl = expected_q - float(p.log_prob(w))
    np.testing.assert_allclose(kl, expected_kl, rtol=1e-10)


@pytest.mark.slow
def test_a_linear_model_has_the_closed_form():
    x, y = line()
    network = network_of(vb.prior, hidden_units=(), num_features=3)
    options = {"num_steps": 2000, "num_draws": 2000, "num_candidates": 10, "num_inducing": 20, "verbose": 0}
    draws = vb.sample_importance(network, vb.likelihoods.Normal(NOISE), x, y, seed=0, **options)

    phi = np.hstack([x, np.ones((40, 1))])
    precision = phi.T @ phi / NOISE**2 + np.eye(4)
    mean, covariance = np.linalg.solve(precision, phi.T @ y[:, 0] / NOISE**2), np.linalg.inv(precision)
    evidence = scipy.stats.multivariate_normal(np.zeros(40), phi @ phi.T + NOISE**2 * np.eye(40)).logpdf(y[:, 0])
    # weights of 20,000 candidates vary by a factor of e at most: their mean is known to 1 %
    assert draws.log_evidence == pytest.approx(evidence, abs=0.1)
    assert draws.elbo <= draws.importance_bound <= evidence + 0.1
    assert draws.trustworthy
    w, sd = draws.weights[0], np.sqrt(np.diag(covariance))
    # 2,000 independent draws: five standard errors
    np.testing.assert_allclose((w.mean(0) - mean) / sd, 0.0, atol=5 / np.sqrt(2000))
    np.testing.assert_allclose(w.std(0) / sd, 1.0, atol=5 / np.sqrt(4000))


@pytest.mark.slow
@pytest.mark.parametrize(
    "likelihood",
    [pytest.param(vb.likelihoods.HeteroscedasticNormal(), marks=pytest.mark.slow), vb.likelihoods.StudentT()],
)
def test_draws_take_the_place_of_the_network_which_stays_as_it_was(likelihood):
    x, y = line(num_features=2)
    network = network_of(vb.priors.ARDNormal(), likelihood=likelihood)
    before = [v.numpy() for v in network.variables]
    first = vb.sample_importance(network, likelihood, x, y, seed=3, **QUICK)
    for a, b in zip(before, network.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    assert [w.shape for w in first.weights] == [(10, 12), (10, 5 * likelihood.num_outputs(1))]
    f = vb.predict_f(first, x, likelihood=likelihood, num_draws=10)
    assert f.shape == vb.predict_y(first, likelihood, x, num_draws=10, seed=0).shape == (10, 40, 1)
    assert np.isfinite(first.log_weights).all()
    hidden = np.maximum(x @ first.weights[0][0][:8].reshape(2, 4) + first.weights[0][0][8:], 0.0)
    last = first.weights[1][0].reshape(5, -1)
    np.testing.assert_allclose(f[0, :, 0], (hidden @ last[:4] + last[4])[:, 0], rtol=1e-9)
    with pytest.raises(ValueError, match="only 10 draws"):
        vb.predict_f(first, x, num_draws=11)


@pytest.mark.slow
def test_the_seed_decides():
    x, y = line(num_features=2)
    likelihood = vb.likelihoods.Normal(NOISE)
    first, again, other = (
        vb.sample_importance(network_of(vb.prior), likelihood, x, y, seed=seed, **QUICK).weights[0]
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.slow
def test_what_is_not_trained_is_not_trusted():
    x, y = line(num_features=2)
    draws = vb.sample_importance(
        network_of(vb.prior, hidden_units=()),
        vb.likelihoods.Normal(0.05),
        x,
        y,
        seed=0,
        **QUICK | {"num_draws": 200, "num_steps": 1},
    )
    assert not draws.trustworthy
    assert "Raise num_candidates" in " ".join(str(draws).split())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_candidates": 0}, "num_candidates"),
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"x": np.zeros((40, 5))}, "x"),
        ({"network": vb.layers.DenseVariational(1, vb.posterior, vb.prior)}, "network"),
    ],
)
def test_bad_input_is_named(change, message):
    x, y = line(num_features=2)
    arguments = {"network": network_of(vb.prior), "likelihood": vb.likelihoods.Normal(), "x": x, "y": y} | change
    with pytest.raises((ValueError, TypeError), match=message):
        vb.sample_importance(**arguments)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_bands_of_the_cubic_are_those_of_nuts_among_the_data(seed):
    x, y = vb.datasets.cubic(200, seed=seed)
    likelihood = vb.likelihoods.Normal(0.3)
    network = vb.build_network(make_posterior_fn=vb.posteriors.MeanFieldNormal(), seed=seed)
    vb.fit(network, likelihood, x, y, epochs=500, seed=seed, verbose=0)
    inside = np.linspace(-1.0, 2.0, 31)
    exact = vb.sample_nuts(network, likelihood, x, y, x_test=inside, max_minutes=60, seed=seed, verbose=0)
    close = vb.sample_importance(network, likelihood, x, y, seed=seed, verbose=0)
    truth, bands = (vb.credible_bands(vb.predict_f(d, inside, num_draws=1000)) for d in (exact, close))
    assert np.mean(np.abs(bands.mean - truth.mean) / truth.sd) < 0.35
    assert 0.9 < np.mean(bands.sd / truth.sd) < 1.1
