"""Networks that end in a distribution of y: the function is its mean, and it is the likelihood."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from other_keras import TFP_LAYERS, only_keras2
from scipy import stats

import varbump as vb
from varbump.core.keras import keras

pytestmark = only_keras2(TFP_LAYERS)
tfd, tfpl = tfp.distributions, tfp.layers
MEAN_FIELD = vb.posteriors.MeanFieldNormal()
X = np.linspace(-1, 1, 60, dtype="float32")[:, None]
Y = X**2 + np.random.default_rng(0).normal(scale=0.1, size=X.shape).astype("float32")

HEADS = {
    "IndependentNormal": lambda: tfpl.IndependentNormal(1),
    "rows and columns": lambda: tfpl.DistributionLambda(lambda t: tfd.Normal(t[:, :1], tf.nn.softplus(t[:, 1:]))),
    "rows": lambda: tfpl.DistributionLambda(lambda t: tfd.Normal(t[..., 0], tf.nn.softplus(t[..., 1]))),
    "several draws": lambda: tfpl.IndependentNormal(1, convert_to_tensor_fn=lambda d: d.sample(5)),
    "joint": lambda: tfpl.DistributionLambda(lambda t: tfd.MultivariateNormalDiag(t[:, :1], tf.nn.softplus(t[:, 1:]))),
}
"""A normal with mean t_0 and sd softplus(t_1) for parameters t, written in several ways."""

OTHERS = [name for name in HEADS if name != "IndependentNormal"]


def network_with(head, **arguments):
    """One linear layer for the two parameters of the head."""
    layer = vb.layers.DenseVariational(2, MEAN_FIELD, vb.prior, seed=0, **{"input_shape": (1,), **arguments})
    return keras.Sequential([layer, head] if head else [layer])


@pytest.fixture(scope="module")
def parameters():
    """Draws of the parameters t (S, N, 2) by the same network without a head."""
    return vb.predict_f(network_with(None), X, num_draws=30, seed=0)


@pytest.mark.parametrize("name", ["IndependentNormal", *(pytest.param(n, marks=pytest.mark.slow) for n in OTHERS)])
def test_the_function_is_the_mean_and_y_has_the_noise_of_the_head(name, parameters):
    network = network_with(HEADS[name]())
    f = vb.predict_f(network, X, num_draws=30, seed=0)
    np.testing.assert_allclose(f, parameters[..., :1], atol=1e-6)  # float32
    z = (vb.predict_y(network, x=X, num_draws=30, seed=0) - f) / np.log1p(np.exp(parameters[..., 1:]))
    # 1,800 standard normal numbers: p below 1e-4 once in 10,000 seeds, and the seed is fixed
    assert stats.kstest(z.ravel(), "norm").pvalue > 1e-4
    np.testing.assert_allclose(vb.predict_bands(network, X, num_draws=30, seed=0).mean, f.mean(0), atol=1e-5)


@pytest.mark.slow
def test_a_network_that_was_not_built_and_a_functional_one_are_the_same(parameters):
    unbuilt = keras.Sequential(network_with(HEADS["rows"]()).layers)
    inputs = keras.Input((1,))
    layer, head = network_with(HEADS["rows"]()).layers
    for network in (unbuilt, keras.Model(inputs, head(layer(inputs)))):
        f = vb.predict_f(network, X, num_draws=30, seed=0)
        np.testing.assert_allclose(f, parameters[..., :1], atol=1e-6)


@pytest.mark.slow
def test_scores_are_those_of_the_mixture_of_the_draws(parameters):
    network = network_with(HEADS["rows and columns"]())
    t = vb.predict_f(network_with(None), X, num_draws=400, seed=0).astype(float)
    of_draws = stats.norm(t[..., :1], np.log1p(np.exp(t[..., 1:])))
    scores = vb.evaluate(network, X, Y, levels=(0.5,), seed=0)
    expected = np.log(of_draws.pdf(Y.astype(float)).mean(0)).mean()
    assert scores.log_likelihood == pytest.approx(expected, abs=1e-5)  # parameters in float32
    np.testing.assert_allclose(scores.pit, of_draws.cdf(Y.astype(float)).mean(0), atol=1e-5)


class SoftplusNormal(vb.likelihoods.Likelihood):
    """The same distribution of y as that of the heads."""

    def distribution(self, f):
        return tfd.Normal(f[..., :1], tf.nn.softplus(f[..., 1:]))

    def num_outputs(self, num_targets):
        return 2 * num_targets


@pytest.mark.slow
@pytest.mark.parametrize("name", ["IndependentNormal", "joint"])
def test_fit_and_reports_are_those_of_an_equal_likelihood(name):
    network, other, likelihood = network_with(HEADS[name]()), network_with(None), SoftplusNormal()
    history = vb.fit(network, None, X, Y, epochs=5, seed=0, verbose=0)
    expected = vb.fit(other, likelihood, X, Y, epochs=5, seed=0, verbose=0)
    np.testing.assert_allclose(history.history["loss"], expected.history["loss"], rtol=1e-5)  # float32
    for ours, theirs in zip(network.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    elbos = [vb.estimate_elbo(n, like, X, Y, num_draws=9, seed=0) for n, like in ((network, None), (other, likelihood))]
    assert elbos[0].elbo == pytest.approx(elbos[1].elbo, rel=1e-5)
    reports = [vb.health_report(n, like, X, Y, num_draws=5) for n, like in ((network, None), (other, likelihood))]
    assert reports[0].residual_sd == pytest.approx(reports[1].residual_sd, rel=1e-4)
    assert reports[0].noise_sd == pytest.approx(reports[1].noise_sd, rel=1e-4)


@pytest.mark.slow
def test_weights_of_the_head_are_trained_too():
    scale = tfp.util.TransformedVariable(1.0, tfp.bijectors.Softplus())
    head = tfpl.DistributionLambda(lambda t: tfd.Normal(t, scale))
    network = keras.Sequential([keras.Input((1,)), vb.layers.DenseVariational(1, MEAN_FIELD, vb.prior), head])
    vb.fit(network, None, X, 2 * X + Y - X**2, epochs=300, seed=0, verbose=0)
    assert float(tf.convert_to_tensor(scale)) == pytest.approx(0.1, abs=0.03)  # sd of the noise, of 60 points


@pytest.mark.slow
def test_counts_have_a_head_too():
    layer = vb.layers.DenseVariational(1, MEAN_FIELD, vb.prior, input_shape=(1,), seed=0)
    network = keras.Sequential([layer, tfpl.IndependentPoisson(1)])
    counts = np.random.default_rng(0).poisson(np.exp(X))
    known = vb.predict_f(keras.Sequential([layer]), X, num_draws=400, seed=0)
    scores = vb.evaluate(network, X, counts, levels=(0.5,), seed=0)
    expected = np.log(stats.poisson(np.exp(known.astype(float))).pmf(counts).mean(0)).mean()
    assert scores.log_likelihood == pytest.approx(expected, abs=1e-5)


NORMAL = vb.likelihoods.Normal(0.1)
REFUSED = {
    "a second likelihood": (lambda n: vb.predict_y(n, NORMAL, X), "there must not be a likelihood besides"),
    "fit": (lambda n: vb.fit(n, NORMAL, X, Y), "pass likelihood=None"),
    "bands": (lambda n: vb.predict_bands(n, X, likelihood=NORMAL), "predict_y\\(network, x\\)"),
    "columns": (lambda n: vb.fit(n, None, X, np.hstack([Y, Y])), "y has 2 columns, but .* a distribution over 1"),
    "other methods": (lambda n: vb.sample_nuts(n, None, X, Y), "pass a likelihood of varbump.likelihoods"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_right_is_refused(case):
    call, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        call(network_with(HEADS["IndependentNormal"]()))


@pytest.mark.slow
def test_scores_of_a_joint_distribution_are_refused():
    with pytest.raises(TypeError, match="one distribution over all columns of y"):
        vb.evaluate(network_with(HEADS["joint"]()), X, Y)


def test_a_subclass_that_returns_a_distribution_is_refused():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.inner = network_with(HEADS["rows"]())

        def call(self, inputs):
            return self.inner(inputs)

    with pytest.raises(TypeError, match="last layer of a Sequential or functional network"):
        vb.predict_f(Own(), X, num_draws=2)


def test_other_networks_need_a_likelihood():
    network = network_with(None)
    for call in (lambda: vb.predict_y(network, x=X), lambda: vb.fit(network, None, X, Y)):
        with pytest.raises(TypeError, match="likelihood (must be one of|is missing)"):
            call()
    with pytest.raises(TypeError, match="x is missing"):
        vb.predict_y(network)
