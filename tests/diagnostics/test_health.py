"""Each trap is set, and found with its figures; healthy fits give no finding."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import varbump as vb

MEAN_FIELD = vb.posteriors.MeanFieldNormal()
REST = [(None, 1), (tf.math.erf, 1), ("bump", 0)]


def made(seed=0, num_data=200):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(num_data, 2)).astype("float32")
    return x, (np.sin(x[:, :1]) + 0.3 * generator.normal(size=(num_data, 1))).astype("float32")


def fitted(seed=0, likelihood=None, epochs=100, x=None, **options):
    data_x, y = made(seed)
    x = data_x if x is None else x
    likelihood = likelihood or vb.likelihoods.Normal(0.3)
    network = vb.build_network(2, **{"hidden_units": (16,), "make_posterior_fn": MEAN_FIELD, "seed": seed, **options})
    vb.fit(network, likelihood, x, y, epochs=epochs, seed=seed, verbose=0)
    return network, likelihood, x, y


@pytest.fixture(scope="module")
def healthy():
    return fitted()


def test_a_healthy_fit_has_no_findings_and_its_figures_add_up(healthy):
    network, likelihood, x, y = healthy
    report = vb.health_report(network, likelihood, x, y)
    assert report.findings == ()
    assert report.ok
    assert sum(layer.kl for layer in report.layers) == pytest.approx(vb.parameter_report(network).kl)
    assert report.data_sd == pytest.approx(float(np.std(y)), rel=1e-5)
    assert report.noise_sd == pytest.approx(0.3)
    f = vb.predict_f(network, x, num_draws=50, seed=0)
    assert report.residual_sd == pytest.approx(float(np.sqrt(np.mean((y - f.mean(0)) ** 2))), rel=1e-4)
    assert 0.2 < report.residual_sd < 0.4
    text = str(report)
    assert "None of the known traps" in text
    assert "the residuals of its mean" in text


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_no_false_alarm(seed):
    network, likelihood, x, y = fitted(seed, likelihood=(None, vb.likelihoods.LearnedNormal())[seed % 2])
    assert vb.health_report(network, likelihood, x, y, seed=seed).findings == ()


def test_weights_and_their_shares_follow_from_q(healthy):
    network, likelihood, x, y = healthy
    layer = network.layers[0]
    loc, sd = layer.posterior.mean.numpy(), np.sqrt(layer.posterior.variances().numpy())
    (first, _) = vb.weight_summary(network).layers
    np.testing.assert_allclose(first.mean, loc, rtol=1e-6)
    np.testing.assert_allclose(first.sd, sd, rtol=1e-5)
    np.testing.assert_array_equal(first.prior_sd, 1.0)
    normals = tfp.distributions.Normal
    expected = tfp.distributions.kl_divergence(normals(loc, sd), normals(0.0, 1.0)).numpy()
    np.testing.assert_allclose(first.marginal_kl, expected, rtol=1e-3, atol=1e-5)  # of float32
    report = vb.health_report(network, likelihood, x, y).layers[0]
    assert report.signal_to_noise == pytest.approx(np.median(np.abs(loc) / sd), rel=1e-4)
    assert report.share_below_one == pytest.approx(np.mean(np.abs(loc) < sd))
    assert report.share_collapsed == pytest.approx(np.mean(expected < 0.05))


def finding(network, likelihood, x, y):
    (found,) = vb.health_report(network, likelihood, x, y).findings
    return found


def test_a_noise_scale_far_from_the_residuals(healthy):
    network, _, x, y = healthy
    assert "fixed at 1.5, but the residuals have sd 0.3" in finding(network, vb.likelihoods.Normal(1.5), x, y)
    assert "too small" in finding(network, vb.likelihoods.Normal(0.05), x, y)


@pytest.mark.slow
def test_a_column_far_from_unit_scale(healthy):
    network, likelihood, x, y = healthy
    network, likelihood, x, y = fitted(
        epochs=1, x=x * [1.0, 1e-3] + [0.0, 0.5], likelihood=vb.likelihoods.LearnedNormal()
    )
    assert "Column 1 of x has mean 0.5 and sd 0.00" in finding(network, likelihood, x, y)


def test_the_weight_of_the_kl(healthy):
    network, likelihood, x, y = healthy
    network.layers[0].kl_weight = 1 / 32
    try:
        assert "the KL counts 6.25 times" in finding(network, likelihood, x, y)
    finally:
        network.layers[0].kl_weight = None


def test_a_temperature(healthy):
    network, likelihood, x, y = healthy
    object.__setattr__(network, "_varbump_temperature", 0.1)
    try:
        assert "temperature 0.1" in finding(network, likelihood, x, y)
    finally:
        object.__setattr__(network, "_varbump_temperature", 1.0)


@pytest.mark.parametrize(
    ("activation", "found"), [("tanh", 1), ("relu", 0), *(pytest.param(*case, marks=pytest.mark.slow) for case in REST)]
)
def test_wide_mean_field_with_an_odd_activation(activation, found):
    learned = vb.likelihoods.LearnedNormal()
    x, y = made()
    network = vb.build_network(2, hidden_units=(128,), make_posterior_fn=MEAN_FIELD, activation=activation, seed=0)
    findings = [f for f in vb.health_report(network, learned, x, y).findings if "Coker" in f]
    assert len(findings) == found
    if found:
        assert "128 units" in findings[0]


def test_a_prior_far_from_y_and_a_posterior_that_ignores_the_data():
    x, y = made()
    network = vb.build_network(2, hidden_units=(4,), make_posterior_fn=MEAN_FIELD, seed=0)
    for layer in network.layers:
        size = layer.posterior.num_weights
        layer.posterior.assign(np.zeros(size, "float32"), np.eye(size, dtype="float32"))
    findings = " ".join(vb.health_report(network, vb.likelihoods.LearnedNormal(), x, 1e5 * y).findings)
    assert "Functions of the prior have sd" in findings
    assert "the posterior ignores the data" in findings


def test_a_network_whose_weights_are_nan_is_not_called_healthy():
    network = vb.build_network(1, hidden_units=(2,), make_posterior_fn=MEAN_FIELD, seed=0)
    network.layers[0].set_weights([weight * np.nan for weight in network.layers[0].get_weights()])
    with pytest.raises(ValueError, match="network gives nan or infinite numbers"):
        vb.health_report(network, vb.likelihoods.Normal(0.3), np.zeros((3, 1)), np.zeros(3), num_draws=2)
