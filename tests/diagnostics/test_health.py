"""Each trap is set, and found with its figures; healthy fits give no finding."""

import re

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import varbump as vb
from varbump.diagnostics import signal
from varbump.diagnostics.signal import predictable_share
from varbump.diagnostics.traps import on_the_floor

MEAN_FIELD = vb.posteriors.MeanFieldNormal()
REST = [("relu", 0), (None, 1), (tf.math.erf, 1), ("bump", 0)]


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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("activation", "found"),
    [("tanh", 1), *(pytest.param(*case, marks=pytest.mark.slow) for case in REST)],
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


def with_posterior(network, mean, sd):
    """Give every layer of a mean-field network these weights: one mean for all, or one for each layer."""
    for layer, value in zip(network.layers, np.broadcast_to(mean, len(network.layers)), strict=True):
        size = layer.posterior.num_weights
        layer.posterior.assign(np.full(size, value, "float32"), sd**2 * np.eye(size, dtype="float32"))


def found_by(network, likelihood, x, y, word):
    return [one for one in vb.health_report(network, likelihood, x, y).findings if word in one]


def test_a_constant_mean_is_a_trap_only_if_the_features_say_more():
    x, y = made()
    noise = np.random.default_rng(1).normal(size=y.shape)
    square = np.square(x[:, :1]) + 0.1 * noise  # a line predicts nothing of it, neighbours do
    network = vb.build_network(2, hidden_units=(4,), make_posterior_fn=MEAN_FIELD, seed=0)
    with_posterior(network, 0.0, 0.01)
    likelihood = vb.likelihoods.LearnedNormal()
    (finding,) = found_by(network, likelihood, x, y, "ignores x")
    assert "explains 0% of the variance of y" in finding
    assert found_by(network, likelihood, x, square - square.mean(), "ignores x")
    assert not found_by(network, likelihood, x, noise, "ignores x")
    assert not found_by(network, likelihood, x, np.zeros_like(y), "ignores x")


def test_leave_one_out_errors_are_those_of_refitting():
    x, y = made(num_data=60)
    x, y = ((a - a.mean(0)) / a.std(0) for a in (x.astype(float), y.astype(float)))
    by_hand = {"line": np.empty_like(y), "neighbours": np.empty_like(y)}
    for n in range(len(x)):
        rest = np.delete(np.arange(len(x)), n)
        a = np.column_stack([np.ones(len(rest)), x[rest]])
        # the ridge of 1 is that of all rows
        coefficients = np.linalg.solve(a.T @ a + np.eye(3), a.T @ y[rest])
        by_hand["line"][n] = y[n] - np.append(1.0, x[n]) @ coefficients
        nearest = rest[np.argsort(np.square(x[rest] - x[n]).sum(1))[:10]]
        by_hand["neighbours"][n] = y[n] - y[nearest].mean(0)
    np.testing.assert_allclose(signal._least_squares(x, y), by_hand["line"], rtol=1e-9)
    np.testing.assert_allclose(signal._neighbours(x, y), by_hand["neighbours"], rtol=1e-9)


@pytest.mark.slow
def test_noise_is_hardly_ever_taken_for_signal():
    # four standard errors: 3e-5 for each of two regressions if the mean of the gains is normal, which it is not quite
    for seed in range(1000):
        generator = np.random.default_rng(seed)
        size, width = (20, 50, 200, 1000)[seed % 4], (1, 5, 15)[seed % 3]
        assert predictable_share(generator.normal(size=(size, width)), generator.standard_t(3, size=(size, 1))) == 0.0


def test_a_noise_scale_at_its_floor():
    raw = np.array([[0.0, -50.0], [0.0, 0.0]], "float32")  # the second column is the raw scale
    for likelihood, share in (
        (vb.likelihoods.LearnedNormal(0.1, min_scale=0.1), 1.0),
        (vb.likelihoods.StudentT(0.1, min_scale=0.1), 1.0),
        (vb.likelihoods.LearnedNormal([0.1, 1.0], min_scale=0.1, num_targets=2), 0.5),
        (vb.likelihoods.LearnedNormal(0.2, min_scale=0.1), 0.0),
        (vb.likelihoods.HeteroscedasticNormal(0.1), 0.5),
        (
            vb.likelihoods.NegativeBinomial(1e-4, min_dispersion=1e-4),
            0.0,
        ),  # nothing is wrong with a Poisson distribution
        (vb.likelihoods.Normal(0.1), 0.0),
    ):
        found = on_the_floor(likelihood, raw)
        assert len(found) == (share > 0)
        assert not found or f"min_scale=0.1, for {share:.0%} of the observations" in found[0]


def test_the_floor_is_part_of_the_report(healthy):
    network, _, x, y = healthy
    assert "at its floor" in finding(network, vb.likelihoods.LearnedNormal(0.3, min_scale=0.3), x, y)


def test_a_posterior_wider_than_the_data_allow():
    x, y = made()
    y = x[:, :1] + 0.3 * np.random.default_rng(1).normal(size=y.shape)
    network = vb.build_network(2, hidden_units=(), make_posterior_fn=MEAN_FIELD, seed=0)
    features = np.column_stack([x, np.ones(len(x))])
    exact = 0.3 / np.sqrt(np.square(features).sum(0))  # sds of the best mean-field posterior: the sum is 3
    (layer,) = network.layers
    for times, found in ((1.0, 0), (1.5, 0), (20.0, 1)):  # times the sd: the sum is 3, 7 and 1,200
        layer.posterior.assign(np.float32([1.0, 0.0, 0.0]), np.diag((times * exact) ** 2).astype("float32"))
        findings = found_by(network, vb.likelihoods.Normal(0.3), x, y, "wider than the data")
        assert len(findings) == found
    assert "summed over the rows, is 1," in findings[0]
    assert "has 3 weights" in findings[0]


class HorseshoePrior(vb.priors.Prior):
    """The horseshoe, which has a mean and no variance."""

    def distribution(self, scale):
        return tfp.distributions.Horseshoe(scale)


class CauchyPrior(vb.priors.Prior):
    """Neither mean nor variance."""

    def distribution(self, scale):
        return tfp.distributions.Cauchy(tf.zeros_like(scale), scale)


class HeavyPrior(vb.priors.Prior):
    """A mean and an infinite variance."""

    def distribution(self, scale):
        return tfp.distributions.StudentT(1.5, tf.zeros_like(scale), scale)


@pytest.mark.parametrize(
    "prior",
    [HorseshoePrior(), *(pytest.param(prior, marks=pytest.mark.slow) for prior in (CauchyPrior(), HeavyPrior()))],
)
def test_priors_without_moments(prior):
    x, y = made()
    likelihood = vb.likelihoods.Normal(0.3)
    network = vb.build_network(2, hidden_units=(), make_posterior_fn=MEAN_FIELD, make_prior_fn=prior, seed=0)
    report = vb.health_report(network, likelihood, x, y)  # numpy's warnings are errors
    assert np.isnan(report.prior_sd)
    assert re.search(r"the function under the prior +\W +- ", str(report))
    assert not [one for one in report.findings if "prior" in one]
    assert report.layers[0].num_effective is None
    assert np.isfinite(report.layers[0].signal_to_noise)
    assert len(vb.WeightsDisplay(vb.weight_summary(network)).plot().priors_) == 0
    name = type(prior.distribution(tf.ones(1))).__name__
    with pytest.raises(ValueError, match=f"prior of layer .*{name}, has no finite mean.*sample_nuts"):
        vb.sample_importance(network, likelihood, x, y, seed=0)
