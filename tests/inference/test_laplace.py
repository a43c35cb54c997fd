"""Laplace's approximation against closed forms of linear models and generalised linear models."""

import dataclasses

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp
from other_keras import REFUSED, TFP_LAYERS, only_keras2, other
from own_parts import NotCurved, OnceDifferentiable

import varbump as vb
from varbump.core.keras import keras
from varbump.inference.laplace.evidence import best_noise, best_prior_scale
from varbump.inference.laplace.structures import chosen_structure

NOISE, PRIOR = 0.3, 0.7


def line(num=40, num_features=3, num_targets=1, seed=0):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(num, num_features))
    y = x @ generator.normal(size=(num_features, num_targets)) + 0.5 + NOISE * generator.normal(size=(num, num_targets))
    return x, y


def dense(*units, num_features=3, activation="tanh", dtype="float64"):
    layers = [keras.layers.Dense(width, activation, dtype=dtype) for width in units[:-1]]
    last = keras.layers.Dense(units[-1], dtype=dtype)
    return keras.Sequential([keras.layers.Input((num_features,), dtype=dtype), *layers, last])


def flat(network):
    return np.concatenate([np.ravel(v) for v in network.trainable_variables])


def assign(network, w):
    for variable in network.trainable_variables:
        size = int(np.prod(variable.shape))
        variable.assign(np.reshape(w[:size], variable.shape))
        w = w[size:]


def jacobian(network, x):
    """J (N, Q, P) by central differences."""
    w, columns = flat(network), []
    for unit in np.eye(len(w)):
        ends = []
        for step in (1e-5, -1e-5):
            assign(network, w + step * unit)
            ends.append(network(x).numpy())
        columns.append((ends[0] - ends[1]) / 2e-5)
    assign(network, w)
    return np.stack(columns, -1)


def closed_form(phi, y, noise=NOISE, prior=PRIOR):
    precision = phi.T @ phi / noise**2 + np.eye(phi.shape[1]) / prior**2
    mean = np.linalg.solve(precision, phi.T @ y / noise**2)
    marginal = prior**2 * phi @ phi.T + noise**2 * np.eye(len(phi))
    return mean, np.linalg.inv(precision), scipy.stats.multivariate_normal(np.zeros(len(phi)), marginal).logpdf(y)


def at_the_mode(dtype="float64"):
    """A linear network with the posterior mean as weights, its data, and the closed form."""
    x, y = line()
    network = dense(1, dtype=dtype)
    mean, covariance, evidence = closed_form(np.hstack([x, np.ones((len(x), 1))]), y[:, 0])
    assign(network, mean)
    return network, x, y, mean, covariance, evidence


def test_a_linear_model_has_the_closed_form():
    network, x, y, mean, covariance, evidence = at_the_mode()
    posterior = vb.laplace(network, vb.likelihoods.Normal(NOISE), x, y, prior_scale=PRIOR)
    np.testing.assert_allclose(posterior.loc, mean, rtol=1e-12)
    np.testing.assert_allclose(posterior.covariance, covariance, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(posterior.variance, np.diag(covariance), rtol=1e-8)
    assert posterior.log_marginal_likelihood == pytest.approx(evidence, abs=1e-8)
    assert posterior.shift == pytest.approx(0.0, abs=1e-8)
    assert posterior.at_mode
    assert (posterior.structure, posterior.num_weights, posterior.prior_scale) == ("full", 4, PRIOR)
    assert "close to a mode" in str(posterior)

    off = mean + 3 * np.sqrt(np.diag(covariance))  # a Newton step is exact here
    assign(network, off)
    posterior = vb.laplace(network, vb.likelihoods.Normal(NOISE), x, y, prior_scale=PRIOR)
    phi = np.hstack([x, np.ones((len(x), 1))])
    shift = np.sqrt(np.mean((phi @ (off - mean)) ** 2) / np.mean(np.einsum("np,pq,nq->n", phi, covariance, phi)))
    assert posterior.shift == pytest.approx(shift, rel=1e-6)
    assert "Not at a mode" in str(posterior)


def test_scales_maximise_the_marginal_likelihood():
    generator = np.random.default_rng(3)
    eigenvalues, squared_norm, squared_error, num = generator.gamma(0.3, size=30) * 50, 8.0, 12.0, 100

    def negative(log_scales):
        scale, noise = np.exp(log_scales)
        fit = squared_error / noise**2 + 2 * num * np.log(noise) + squared_norm / scale**2
        return 0.5 * (fit + np.sum(np.log1p(scale**2 * eigenvalues / noise**2)))

    best = scipy.optimize.minimize(negative, [0.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12})
    noise = best_noise(eigenvalues, squared_norm, squared_error, num)
    scale = best_prior_scale(eigenvalues / noise**2, squared_norm)
    # the optimum is flat: its place is known to the root of the tolerance of its value
    np.testing.assert_allclose([scale, noise], np.exp(best.x), rtol=1e-5)
    alone = scipy.optimize.minimize_scalar(lambda t: negative([np.log(PRIOR), t]), bounds=(-5, 5), method="bounded")
    given = best_noise(eigenvalues, squared_norm, squared_error, num, prior_scale=PRIOR)
    assert given == pytest.approx(np.exp(alone.x), rel=1e-4)


class Bernoulli(vb.likelihoods.Likelihood):
    discrete = True

    def distribution(self, f):
        return tfp.distributions.Bernoulli(logits=f, dtype=f.dtype)


@pytest.mark.parametrize(
    ("likelihood", "curvature"),
    [
        (vb.likelihoods.Poisson(), np.exp),
        pytest.param(Bernoulli(), lambda f: np.exp(f) / (1 + np.exp(f)) ** 2, marks=pytest.mark.slow),
    ],
    ids=["Poisson", "Bernoulli"],
)
def test_generalised_linear_models(likelihood, curvature):
    x, _ = line()
    y = np.random.default_rng(0).integers(0, 2, size=(len(x), 1))
    network = dense(1)
    w = np.array([0.3, -0.5, 0.8, 0.2])
    assign(network, w)
    posterior = vb.laplace(network, likelihood, x, y, prior_scale=PRIOR)
    phi = np.hstack([x, np.ones((len(x), 1))])
    precision = phi.T @ (curvature(phi @ w)[:, None] * phi) + np.eye(4) / PRIOR**2
    np.testing.assert_allclose(np.linalg.inv(posterior.covariance), precision, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [((2000, 10), ("full", False)), ((2001, 10), ("last_layer", True)), ((2001, 2001), ("diagonal", False)),
     ((2001, 0), ("diagonal", False))],
)  # fmt: skip
def test_the_structure_is_chosen_by_size(sizes, expected):
    assert chosen_structure("auto", *sizes) == expected


class TestErrors:
    network = dense(1, dtype="float32")
    likelihood = vb.likelihoods.Normal(NOISE)
    x, y = line(5)

    @pytest.mark.parametrize(
        ("change", "error", "match"),
        [
            ({"network": "model.keras"}, TypeError, r"network must be a \w*keras.Model, got str"),
            ({"network": other.Sequential([other.layers.Dense(1)])}, TypeError, REFUSED),
            ({"network": keras.Sequential([keras.layers.Dense(1)])}, ValueError, "network is not built"),
            ({"likelihood": None}, TypeError, "likelihood must be one of"),
            ({"likelihood": vb.likelihoods.HeteroscedasticNormal()}, ValueError, "needs 2"),
            ({"x": np.full((5, 3), np.nan)}, ValueError, "x must be finite"),
            ({"y": np.full((5, 1), np.inf)}, ValueError, "y must be finite"),
            ({"y": np.zeros((4, 1))}, ValueError, "5 rows but y has 4"),
            ({"structure": "kronecker"}, ValueError, "structure must be one of"),
            ({"prior_scale": -1.0}, ValueError, "prior_scale, a standard deviation"),
            ({"linearised": "no"}, ValueError, "linearised must be True or False"),
        ],
    )
    def test_arguments(self, change, error, match):
        given = {"network": self.network, "likelihood": self.likelihood, "x": self.x, "y": self.y, **change}
        with pytest.raises(error, match=match):
            vb.laplace(**given)

    def test_nothing_trainable(self):
        network = dense(1)
        network.trainable = False
        with pytest.raises(ValueError, match="no trainable weights"):
            vb.laplace(network, self.likelihood, self.x, self.y)

    def test_a_covariance_that_is_too_large(self):
        with pytest.raises(ValueError, match="would take 6.4 GB.*use structure='last_layer' or 'diagonal'"):
            chosen_structure("full", 28_285, 10)

    @pytest.mark.slow
    def test_own_priors_leave_no_scale_open(self):
        network = vb.build_network(3, hidden_units=(), seed=0)
        with pytest.raises(ValueError, match="prior_scale is for plain networks"):
            vb.laplace(network, self.likelihood, self.x, self.y, prior_scale=1.0)

    @only_keras2(TFP_LAYERS)
    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore::UserWarning")  # of how TFP makes its variables
    def test_stock_layers(self):
        layer = tfp.layers.DenseReparameterization(1)
        network = keras.Sequential([keras.layers.Input((3,)), layer])
        with pytest.raises(ValueError, match="stock tfp"):
            vb.laplace(network, self.likelihood, self.x, self.y)

    @pytest.mark.slow
    def test_weights_at_zero_and_networks_without_response(self):
        network = dense(4, 1, activation="relu")
        assign(network, np.zeros(21))
        with pytest.raises(ValueError, match="prior_scale cannot be chosen.*all random weights are 0"):
            vb.laplace(network, self.likelihood, self.x, self.y)
        network.layers[0].kernel.assign(np.full((3, 4), np.nan))
        with pytest.raises(ValueError, match="network gives nan or infinity in row 0"):
            vb.laplace(network, self.likelihood, self.x, self.y)

    @pytest.mark.slow
    def test_likelihoods_without_curvature(self):
        network = dense(1)
        with pytest.raises(ValueError, match="not curved"):
            vb.laplace(network, NotCurved(), self.x, self.y)
        with pytest.raises(ValueError, match="cannot be differentiated twice.*sample_nuts"):
            vb.laplace(network, OnceDifferentiable(), self.x, self.y)

    @pytest.mark.slow
    def test_the_last_layer_of_a_subclassed_network(self):
        class Own(keras.Model):
            def __init__(self):
                super().__init__()
                self.inner = keras.layers.Dense(1)

            def call(self, x):
                return self.inner(x)

        network = Own()
        network(self.x.astype("float32"))
        with pytest.raises(ValueError, match="structure='last_layer' needs a Sequential or functional"):
            vb.laplace(network, self.likelihood, self.x, self.y, structure="last_layer")
        assert vb.laplace(network, self.likelihood, self.x, self.y).num_weights == 4


@pytest.mark.slow
@pytest.mark.parametrize("linearised", [True, False])
def test_draws_of_a_linear_model_are_those_of_the_posterior(linearised):
    network, x, y, mean, covariance, _ = at_the_mode()
    posterior = vb.laplace(network, vb.likelihoods.Normal(NOISE), x, y, prior_scale=PRIOR, linearised=linearised)
    f = vb.predict_f(posterior, x, num_draws=20_000, seed=0)[..., 0]
    phi = np.hstack([x, np.ones((len(x), 1))])
    sd = np.sqrt(np.einsum("np,pq,nq->n", phi, covariance, phi))
    # 20,000 independent draws: five standard errors of mean and sd, at 40 points
    np.testing.assert_allclose((f.mean(0) - phi @ mean) / sd, 0.0, atol=5 / np.sqrt(20_000))
    np.testing.assert_allclose(f.std(0) / sd, 1.0, atol=5 / np.sqrt(40_000))
    w = np.hstack(posterior.sampler((3,), 50, seed=0).weights())
    np.testing.assert_allclose(vb.predict_f(posterior, x, num_draws=50, seed=0)[..., 0], w @ phi.T, atol=1e-9)


def network_and_data(*units, num_targets=2, dtype="float64"):
    x, y = line(num_targets=num_targets)
    network = dense(*units, num_targets, dtype=dtype)
    generator = np.random.default_rng(5)
    assign(network, 0.5 * generator.normal(size=flat(network).size))
    return network, x, y


@pytest.mark.slow
def test_two_targets_and_a_hidden_layer():
    network, x, y = network_and_data(4)
    posterior = vb.laplace(network, vb.likelihoods.Normal(NOISE), x, y, prior_scale=PRIOR)
    J = jacobian(network, x)
    flat_J = J.reshape(-1, J.shape[-1])
    covariance = np.linalg.inv(flat_J.T @ flat_J / NOISE**2 + np.eye(J.shape[-1]) / PRIOR**2)
    np.testing.assert_allclose(posterior.covariance, covariance, rtol=1e-5, atol=1e-7)  # central differences

    x_new = np.random.default_rng(9).normal(size=(7, 3))
    J = jacobian(network, x_new)
    w = np.hstack(posterior.sampler((3,), 30, seed=4).weights())
    f = vb.predict_f(posterior, x_new, num_draws=30, seed=4)
    expected = network(x_new).numpy() + np.einsum("nqp,sp->snq", J, w - flat(network))
    np.testing.assert_allclose(f, expected, atol=1e-6)
    f = vb.predict_f(posterior, x_new, num_draws=20_000, seed=0)
    variance = np.einsum("nqp,po,nqo->nq", J, covariance, J)
    np.testing.assert_allclose(f.var(0) / variance, 1.0, atol=5 * np.sqrt(2 / 20_000))  # five standard errors

    sampled = vb.predict_f(dataclasses.replace(posterior, linearised=False), x_new, num_draws=30, seed=4)
    before = flat(network)
    for index in (0, 29):
        assign(network, w[index])
        np.testing.assert_allclose(sampled[index], network(x_new), atol=1e-9)
    assign(network, before)


@pytest.mark.slow
def test_the_last_layer_is_linear_regression_on_its_features():
    network, x, y = network_and_data(4, num_targets=1)
    posterior = vb.laplace(network, vb.likelihoods.Normal(NOISE), x, y, structure="last_layer", prior_scale=PRIOR)
    phi = np.hstack([network.layers[0](x).numpy(), np.ones((len(x), 1))])
    _, covariance, _ = closed_form(phi, y[:, 0])
    np.testing.assert_allclose(posterior.covariance, covariance, rtol=1e-7, atol=1e-10)
    assert (posterior.num_weights, posterior.random_weights.num_held) == (5, 16)
    assert "16 trainable numbers held" in str(posterior)
    by_network = vb.predict_f(dataclasses.replace(posterior, linearised=False), x, num_draws=5, seed=0)
    np.testing.assert_allclose(vb.predict_f(posterior, x, num_draws=5, seed=0), by_network, atol=1e-9)


@pytest.mark.slow
def test_the_diagonal():
    network, x, y = network_and_data(4, num_targets=1)
    posterior = vb.laplace(network, vb.likelihoods.Normal(NOISE), x, y, structure="diagonal", prior_scale=PRIOR)
    J = jacobian(network, x)[:, 0]
    precision = np.sum(J**2, 0) / NOISE**2 + PRIOR**-2
    np.testing.assert_allclose(posterior.variance, 1 / precision, rtol=1e-5)
    np.testing.assert_allclose(posterior.covariance, np.diag(1 / precision), rtol=1e-5, atol=1e-12)
    z = flat(network) / PRIOR
    log_likelihood = scipy.stats.norm.logpdf(y, network(x), NOISE).sum()
    expected = log_likelihood - 0.5 * z @ z - 0.5 * np.sum(np.log(PRIOR**2 * precision))
    assert posterior.log_marginal_likelihood == pytest.approx(expected, abs=1e-3)


@pytest.mark.slow
def test_our_networks_give_the_same_as_plain_ones():
    plain, x, y = network_and_data(4, dtype="float32")
    prior = vb.priors.Normal(PRIOR)
    network = vb.build_network(
        3, hidden_units=(4,), num_outputs=2, activation="tanh", make_prior_fn=prior, posterior="mean_field", seed=0
    )
    layers = [layer for layer in network.layers if isinstance(layer, vb.layers.DenseVariational)]
    for layer, of_plain in zip(layers, plain.layers, strict=True):
        loc = np.concatenate([np.ravel(v) for v in of_plain.variables])
        layer.posterior.assign(loc, np.eye(len(loc)))
    likelihood = vb.likelihoods.Normal(NOISE)
    for structure in ("full", "last_layer", "diagonal"):
        expected = vb.laplace(plain, likelihood, x, y, structure=structure, prior_scale=PRIOR)
        posterior = vb.laplace(network, likelihood, x, y, structure=structure)
        np.testing.assert_allclose(posterior.covariance, expected.covariance, rtol=1e-3, atol=1e-5)  # single precision
        assert posterior.log_marginal_likelihood == pytest.approx(expected.log_marginal_likelihood, rel=1e-4)
        assert posterior.shift == pytest.approx(expected.shift, rel=1e-3)
        f, g = (vb.predict_f(source, x, num_draws=2000, seed=0) for source in (posterior, expected))
        np.testing.assert_allclose(f.std(0) / g.std(0), 1.0, atol=0.12)  # sds of eigenvectors with other signs
    assert "the network's own" in str(posterior)


@pytest.mark.slow
def test_a_prior_that_is_not_normal_is_replaced():
    x, y = line()
    network = vb.build_network(3, hidden_units=(), make_prior_fn=vb.priors.Laplace(0.5), seed=0)
    posterior = vb.laplace(network, vb.likelihoods.Normal(NOISE), x, y)
    np.testing.assert_allclose(posterior.prior_sd, 0.5 * np.sqrt(2), rtol=1e-6)
    assert "is not normal" in str(posterior)


@pytest.mark.slow
def test_noise_and_prior_scale_are_chosen_together():
    network, x, y = network_and_data(4, num_targets=1)
    network.compile(keras.optimizers.Adam(0.02), "mse")
    network.fit(x, y, epochs=100, batch_size=40, verbose=0)
    likelihood = vb.likelihoods.LearnedNormal(1.0, dtype="float64")
    posterior = vb.laplace(network, likelihood, x, y)
    assert posterior.noise_scale == pytest.approx(float(likelihood.scale), rel=1e-6)
    assert "chosen by the marginal likelihood" in str(posterior)

    def evidence(scale, noise):
        return vb.laplace(network, vb.likelihoods.Normal(noise), x, y, prior_scale=scale).log_marginal_likelihood

    scale, noise = posterior.prior_scale, posterior.noise_scale
    best = evidence(scale, noise)
    assert posterior.log_marginal_likelihood == pytest.approx(best, abs=1e-5)
    for factor in (0.97, 1.03):
        assert evidence(factor * scale, noise) < best
        assert evidence(scale, factor * noise) < best


@pytest.mark.slow
def test_draws_are_functions_of_the_seed_alone():
    network, x, y = network_and_data(4, num_targets=1, dtype="float32")
    likelihood = vb.likelihoods.Normal(NOISE)
    for linearised in (True, False):
        posterior = vb.laplace(network, likelihood, x, y, linearised=linearised)
        f = vb.predict_f(posterior, x, num_draws=9, seed=1)
        assert (f == vb.predict_f(posterior, x, num_draws=9, seed=1)).all()
        assert not np.allclose(f, vb.predict_f(posterior, x, num_draws=9, seed=2))
        np.testing.assert_allclose(f, vb.predict_f(posterior, x, num_draws=9, seed=1, chunk_size=7), atol=1e-5)
        np.testing.assert_allclose(f[:, 5:8], vb.predict_f(posterior, x[5:8], num_draws=9, seed=1), atol=1e-5)
        np.testing.assert_allclose(f[:4], vb.predict_f(posterior, x, num_draws=4, seed=1), atol=1e-5)
        assign(network, flat(network) + 1.0)  # the draws are those of the weights at the time of the call
        np.testing.assert_allclose(f, vb.predict_f(posterior, x, num_draws=9, seed=1), atol=1e-5)
        assign(network, flat(network) - 1.0)


@pytest.mark.slow
def test_consumers_take_it():
    network, x, y = network_and_data(4, num_targets=1, dtype="float32")
    likelihood = vb.likelihoods.LearnedNormal(NOISE)
    posterior = vb.laplace(network, likelihood, x, y)
    f = vb.predict_f(posterior, x, num_draws=50, seed=0)
    assert f.kind == "epistemic"
    bands = vb.predict_bands(posterior, x, num_draws=50, seed=0)
    np.testing.assert_allclose(bands.sd, vb.credible_bands(f).sd, rtol=1e-4)
    observed = vb.predict_y(posterior, x, num_draws=50, seed=0)
    assert (observed == vb.predict_y(posterior, likelihood, x, num_draws=50, seed=0)).all()
    np.testing.assert_allclose(
        vb.predict_bands(posterior, x, kind="predictive", num_draws=50, seed=0).sd,
        vb.credible_bands(observed).sd,
        rtol=1e-4,
    )
    assert vb.BandsDisplay(x[:, :1], bands).plot() is not None
    scores = vb.evaluate(posterior, x, y, seed=0)
    assert scores.log_likelihood == vb.evaluate(posterior, x, y, likelihood=likelihood, seed=0).log_likelihood
    assert vb.predict_dist(posterior, x).std().shape == y.shape


@pytest.mark.slow
@pytest.mark.parametrize("structure", ["full", "last_layer"])
def test_draws_for_arviz(structure):
    pytest.importorskip("arviz_base")
    plain, x, y = network_and_data(4, num_targets=1, dtype="float32")
    ours = vb.build_network(3, hidden_units=(4,), posterior="mean_field", seed=0)
    for network in (plain, ours):
        posterior = vb.laplace(network, vb.likelihoods.Normal(NOISE), x, y, structure=structure)
        tree = vb.to_arviz(posterior, x, y, num_draws=30)
        drawn = {name: values.shape[2:] for name, values in tree["posterior"].items()}
        shapes = [(3, 4), (4,), (4, 1), (1,)]  # of our network also those held: they have one value
        assert list(drawn.values()) == (shapes[2:] if network is plain and structure == "last_layer" else shapes)
        kernel = list(tree["posterior"].values())[-2].values[0]
        assert kernel.std(0).min() > 0.0
        w = posterior.sampler((3,), 30, seed=0).weights()
        np.testing.assert_array_equal(np.ravel(kernel), np.ravel(w[-2] if network is plain else w[-1][:, :4]))


@only_keras2(TFP_LAYERS)
@pytest.mark.slow
def test_a_network_that_ends_in_a_distribution():
    x, y = line()
    network = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2), tfp.layers.IndependentNormal(1)])
    posterior = vb.laplace(network, None, x, y)
    assert posterior.num_weights == 8
    f = vb.predict_f(posterior, x, num_draws=20, seed=0)
    assert f.shape == (20, 40, 1)  # the mean of y, not both parameters
    w = np.hstack(posterior.sampler((3,), 20, seed=0).weights())
    np.testing.assert_allclose(f[..., 0], w[:, [0, 2, 4]] @ x.T + w[:, [6]], atol=1e-5)
    assert vb.predict_y(posterior, x, num_draws=20, seed=0).shape == (20, 40, 1)
    assert np.isfinite(vb.evaluate(posterior, x, y).log_likelihood)
    with pytest.raises(ValueError, match="likelihood=None"):
        vb.laplace(network, vb.likelihoods.Normal(), x, y)


@pytest.mark.slow
def test_layers_that_act_otherwise_in_training():
    x, y = line()
    layers = keras.layers
    network = keras.Sequential(
        [layers.Input((3,)), layers.Dense(4, "relu"), layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(1)]
    )
    network.layers[1].moving_mean.assign([0.1, 0.2, 0.3, 0.4])
    posterior = vb.laplace(network, vb.likelihoods.Normal(NOISE), x, y)
    assert posterior.num_weights == 16 + 8 + 5
    f = vb.predict_f(posterior, x, num_draws=4000, seed=0)
    np.testing.assert_allclose((f.mean(0) - network(x)) / f.std(0), 0.0, atol=5 / np.sqrt(4000))  # five standard errors


@pytest.mark.slow
def test_inputs_with_more_axes():
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(20, 6, 6, 1)), generator.normal(size=(20, 1))
    layers = keras.layers
    network = keras.Sequential([layers.Input((6, 6, 1)), layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(1)])
    posterior = vb.laplace(network, vb.likelihoods.Normal(1.0), x, y)
    assert posterior.num_weights == 20 + 33
    assert vb.predict_f(posterior, x, num_draws=5).shape == (5, 20, 1)


@pytest.mark.slow
def test_log_densities_that_are_not_concave():
    x, y = line()
    df, scale = 4.0, 0.1
    network, likelihood = dense(1), vb.likelihoods.StudentT(scale, df=df)
    posterior = vb.laplace(network, likelihood, x, y, prior_scale=PRIOR)
    unit = scale  # of the t distribution
    r = (y - network(x).numpy())[:, 0]
    curvature = (df + 1) * (df * unit**2 - r**2) / (df * unit**2 + r**2) ** 2
    phi = np.hstack([x, np.ones((len(x), 1))])
    precision = phi.T @ (np.maximum(curvature, 0.0)[:, None] * phi) + np.eye(4) / PRIOR**2
    np.testing.assert_allclose(np.linalg.inv(posterior.covariance), precision, rtol=1e-5)
    assert posterior.num_clipped == (curvature < 0).sum() > 0
    assert "counts as flat" in str(posterior)


@pytest.mark.slow
def test_two_outputs_for_one_column_of_y():
    x, y = line()
    network, likelihood = dense(2, dtype="float32"), vb.likelihoods.HeteroscedasticNormal()
    posterior = vb.laplace(network, likelihood, x, y, prior_scale=PRIOR)
    f = network(x)
    with tf.GradientTape() as outer:
        outer.watch(f)
        with tf.GradientTape() as inner:
            inner.watch(f)
            nll = likelihood.nll(y, f)
        slope = inner.gradient(nll, f)
    H = outer.batch_jacobian(slope, f).numpy()
    values, vectors = np.linalg.eigh(H)
    H = np.einsum("nqr,nr,nsr->nqs", vectors, np.maximum(values, 0.0), vectors)
    phi = np.hstack([x, np.ones((len(x), 1))])
    order = [0, 2, 4, 6, 1, 3, 5, 7]  # of the first output, then of the second
    precision = (
        np.block([[phi.T @ (H[:, q, s, None] * phi) for s in range(2)] for q in range(2)]) + np.eye(8) / PRIOR**2
    )
    expected = np.linalg.inv(precision)
    np.testing.assert_allclose(posterior.covariance[np.ix_(order, order)], expected, rtol=1e-3, atol=1e-4)
    assert vb.predict_f(posterior, x, likelihood=likelihood, num_draws=3).shape == (3, 40, 1)


@pytest.mark.slow
def test_recurrent_layers():
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(20, 5, 2)), generator.normal(size=(20, 1))
    layers, posteriors = keras.layers, []
    for unroll in (False, True):
        keras.utils.set_random_seed(0)
        network = keras.Sequential([layers.Input((5, 2)), layers.GRU(3, unroll=unroll), layers.Dense(1)])
        posteriors.append(vb.laplace(network, vb.likelihoods.Normal(1.0), x, y, prior_scale=PRIOR))
    looped, unrolled = (posterior.covariance for posterior in posteriors)
    np.testing.assert_allclose(looped, unrolled, atol=1e-5)
