import copy

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

import varbump as vb
from varbump.core.keras import keras
from varbump.likelihoods import HeteroscedasticNormal

MEAN_FIELD = vb.posteriors.MeanFieldNormal()


def example(num_data=50, num_targets=2, seed=0):
    generator = np.random.default_rng(seed)
    y, loc, raw = generator.normal(size=(3, num_data, num_targets))
    return y, loc, raw, 1e-3 + np.log1p(np.exp(raw))


def gradient(likelihood, y, f):
    with tf.GradientTape() as tape:
        f = tf.constant(f)
        tape.watch(f)
        nll = likelihood.nll(y, f)
    return np.split(tape.gradient(nll, f).numpy(), 2, axis=1)


@pytest.mark.parametrize("options", [{}, {"beta": 0.5}, {"beta": 1.0}, {"faithful": True}])
def test_nll_is_that_of_scipy_however_its_gradient_is_weighted(options):
    y, loc, raw, scale = example()
    nll = HeteroscedasticNormal(**options).nll(y, np.concatenate([loc, raw], 1))
    np.testing.assert_allclose(nll, -scipy.stats.norm.logpdf(y, loc, scale).sum(-1), rtol=1e-12)


@pytest.mark.parametrize("beta", [0.0, 0.3, 0.5, 1.0])
def test_beta_weighs_each_gradient_by_the_scale_to_the_power_of_two_beta(beta):
    y, loc, raw, scale = example()
    by_loc, by_raw = gradient(HeteroscedasticNormal(beta=beta), y, np.concatenate([loc, raw], 1))
    slope = 1 / (1 + np.exp(-raw))  # of softplus
    np.testing.assert_allclose(by_loc, scale ** (2 * beta) * (loc - y) / scale**2, rtol=1e-10)
    expected = scale ** (2 * beta) * (1 / scale - (y - loc) ** 2 / scale**3) * slope
    np.testing.assert_allclose(by_raw, expected, rtol=1e-10, atol=1e-12)


def test_faithful_fits_the_location_as_with_a_scale_of_one_and_the_scale_as_ever():
    y, loc, raw, _ = example()
    f = np.concatenate([loc, raw], 1)
    by_loc, by_raw = gradient(HeteroscedasticNormal(faithful=True), y, f)
    np.testing.assert_allclose(by_loc, loc - y, rtol=1e-12)
    np.testing.assert_array_equal(by_raw, gradient(HeteroscedasticNormal(), y, f)[1])


def test_the_scales_of_a_faithful_network_do_not_reach_the_layers_below():
    likelihood = HeteroscedasticNormal(faithful=True)
    x = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
    for given, below in [(likelihood, False), (HeteroscedasticNormal(), True)]:
        network = vb.build_network(
            3, hidden_units=(8,), num_outputs=2, likelihood=given, make_posterior_fn=MEAN_FIELD, seed=0
        )
        for columns, reaches in [(slice(0, 2), True), (slice(2, 4), below)]:
            with tf.GradientTape() as tape:
                total = tf.reduce_sum(network(x)[:, columns])
            gradients = tape.gradient(total, network.trainable_variables, unconnected_gradients="zero")
            first, last = gradients[0], gradients[-1]
            assert np.any(first) == reaches
            assert np.any(last)


@pytest.mark.parametrize("num_detached", [0, 1, 3])
@pytest.mark.parametrize("num_rows", [5, 300])  # above 256 the compiled loops compute with the rows last
def test_detached_outputs_have_the_same_values(num_detached, num_rows):
    x = np.random.default_rng(0).normal(size=(num_rows, 3)).astype("float32")
    layer = vb.layers.DenseVariational(3, MEAN_FIELD, vb.prior, seed=0, num_detached=num_detached)
    restored = keras.Sequential([keras.Input((3,)), type(layer).from_config(layer.get_config())])
    plain = keras.Sequential([keras.Input((3,)), vb.layers.DenseVariational(3, MEAN_FIELD, vb.prior, seed=0)])
    assert restored.layers[0].num_detached == num_detached
    draws = [vb.predict_f(network, x, num_draws=2, seed=1) for network in (restored, plain)]
    np.testing.assert_allclose(*draws, rtol=1e-6)


@pytest.mark.parametrize("num_detached", [-1, 4, 1.5])
def test_more_detached_outputs_than_units_are_refused(num_detached):
    with pytest.raises(ValueError, match="num_detached must be"):
        vb.layers.DenseVariational(3, MEAN_FIELD, vb.prior, num_detached=num_detached)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beta": 1.5}, "beta must lie between 0 and 1"),
        ({"beta": -0.5}, "beta must be a finite number"),
        ({"beta": 0.5, "faithful": True}, "exclude each other"),
        ({"min_scale": 0.0}, "min_scale, a standard deviation, must be"),
        ({"min_scale": 1e-20}, "min_scale must lie between"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        HeteroscedasticNormal(**options)


def test_a_network_without_scales_is_refused_with_what_to_do():
    x, y = vb.datasets.cubic(20)
    network = vb.build_network(make_posterior_fn=MEAN_FIELD)
    with pytest.raises(
        ValueError, match=r"y has 1 columns, but the network has 1 outputs and HeteroscedasticNormal needs 2"
    ):
        vb.fit(network, HeteroscedasticNormal(), x, y)
    with pytest.raises(ValueError, match=r"needs two network outputs .* got 1; build the network with build_network"):
        vb.predict_y(network, HeteroscedasticNormal(), x)
    with pytest.raises(ValueError, match="y has 1 columns, which need twice as many outputs; f has 4"):
        HeteroscedasticNormal().nll(np.zeros((5, 1)), np.zeros((5, 4)))


def test_build_network_refuses_what_is_no_likelihood():
    with pytest.raises(TypeError, match="likelihood must be one of varbump.likelihoods"):
        vb.build_network(likelihood="normal")


@pytest.mark.slow
def test_fit_finds_the_noise_along_x():
    x, y = vb.datasets.cubic(2000, seed=3)
    likelihood = HeteroscedasticNormal()
    network = vb.build_network(hidden_units=(32,), likelihood=likelihood, make_posterior_fn=MEAN_FIELD, seed=0)
    vb.fit(network, likelihood, x, y, epochs=150, seed=0, verbose=0)
    at = np.array([-0.5, 0.5, 1.5])
    f = vb.predict_f(network, at, num_draws=200, seed=0)
    sd = likelihood.stddev(f).numpy().mean(0)[:, 0]
    # 700 points a third give the sd to 3 %; the warm-up and cosine end leave a few more
    np.testing.assert_allclose(sd, vb.datasets.cubic_noise(at), rtol=0.2)
    assert np.all(np.diff(sd) > 0)


def test_faithful_survives_a_copy_of_the_likelihood():
    assert copy.deepcopy(HeteroscedasticNormal(faithful=True)).faithful
