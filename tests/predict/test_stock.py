"""Networks of TFP's own layers, trained with Keras, are drawn from: each function is one draw of all weights."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from other_keras import TFP_LAYERS, only_keras2

import varbump as vb
from varbump.core.keras import keras
from varbump.predict.sampler import Sampler

tfd, tfpl = tfp.distributions, tfp.layers
pytestmark = [
    only_keras2(TFP_LAYERS),
    pytest.mark.filterwarnings("ignore:.*layer.add_variable.*:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*initializer RandomNormal is unseeded.*:UserWarning"),
]
X = np.random.default_rng(0).normal(size=(64, 2)).astype("float32")
Y = X[:, :1] - X[:, 1:]


def posterior(kernel_size, bias_size=0, dtype=None):
    """The one of the TFP tutorials."""
    n = kernel_size + bias_size
    make = tfpl.DistributionLambda(
        lambda t: tfd.Independent(tfd.Normal(t[..., :n], 1e-3 + 0.1 * tf.nn.softplus(t[..., n:])), 1)
    )
    return keras.Sequential([tfpl.VariableLayer(2 * n, dtype=dtype), make])


def prior(kernel_size, bias_size=0, dtype=None):
    n = kernel_size + bias_size
    make = tfpl.DistributionLambda(lambda t: tfd.Independent(tfd.Normal(t, 1.0), 1))
    return keras.Sequential([tfpl.VariableLayer(n, dtype=dtype), make])


def one_row(layer):
    """A convolution over a row as a sequence of one step."""
    return [keras.layers.Reshape((1, 2)), layer, keras.layers.Flatten()]


LAYERS = {
    "DenseVariational": lambda: [tfpl.DenseVariational(1, posterior, prior, kl_weight=1 / 64)],
    "our factories": lambda: [tfpl.DenseVariational(1, vb.posterior, vb.prior, kl_weight=1 / 64)],
    "DenseReparameterization": lambda: [tfpl.DenseReparameterization(1)],
    "DenseFlipout": lambda: [tfpl.DenseFlipout(1, bias_posterior_fn=tfpl.default_mean_field_normal_fn())],
    "DenseLocalReparameterization": lambda: [tfpl.DenseLocalReparameterization(1, bias_posterior_fn=None)],
    "Convolution1DFlipout": lambda: one_row(tfpl.Convolution1DFlipout(1, 1)),
}
SLOW = [name for name in LAYERS if name != "DenseFlipout"]
EACH = pytest.mark.parametrize("name", ["DenseFlipout", *(pytest.param(n, marks=pytest.mark.slow) for n in SLOW)])


def trained(name, *more):
    """Not built before Keras trains it."""
    network = keras.Sequential([*LAYERS[name](), *more])
    network.compile("adam", "mse")
    network.fit(X, Y, epochs=1, batch_size=32, verbose=0)
    return network


def moments(network):
    """Mean and sd of kernel and bias in one vector, by the layer's own distributions."""
    layer = next(layer for layer in network.layers if layer.trainable_variables)
    if isinstance(layer, tfpl.DenseVariational):
        made = [layer._posterior(tf.zeros([1, 2]))]
    else:
        made = [q for q in (layer.kernel_posterior, layer.bias_posterior) if q is not None]
    return [
        np.concatenate([np.ravel(part) for part in parts])
        for parts in ([q.mean() for q in made], [q.stddev() for q in made])
    ]


@EACH
def test_each_function_is_one_draw_of_the_posterior(name):
    network = trained(name)
    f = vb.predict_f(network, X, num_draws=2000, seed=0, chunk_size=25)[..., 0]
    weights = Sampler(network, (2,), 2000, 0, None).weights()[0]
    mean, sd = moments(network)
    assert weights.shape == (2000, len(mean))
    lines = weights[:, :2] @ X.T + (weights[:, 2:] if len(mean) > 2 else 0.0)
    np.testing.assert_allclose(f, lines, atol=1e-5)  # float32, in whatever chunks
    # 2,000 draws of up to 3 numbers: 5 standard errors, a false alarm in 1 of 300,000
    np.testing.assert_allclose(weights.mean(0), mean, atol=5 * sd.max() / np.sqrt(2000))
    np.testing.assert_allclose(weights.std(0), sd, atol=5 * sd.max() / np.sqrt(4000))
    np.testing.assert_array_equal(vb.predict_f(network, X[:9], num_draws=2000, seed=0)[..., 0], f[:, :9])
    assert not np.allclose(vb.predict_f(network, X, num_draws=2000, seed=1)[..., 0], f)


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYERS)
def test_keras_sees_the_layers_as_before(name):
    network = trained(name)
    kinds = [(type(layer).__name__, type(layer).__module__) for layer in network.layers]
    vb.predict_f(network, X, num_draws=2, seed=0)
    assert [(type(layer).__name__, type(layer).__module__) for layer in network.layers] == kinds  # as Keras saves them
    network.fit(X, Y, epochs=1, batch_size=32, verbose=0)
    assert np.ptp([network.predict(X[:1], verbose=0) for _ in range(5)]) > 0.0  # a draw for each call


@pytest.mark.slow
def test_the_tutorial_of_tfp_gets_bands_scores_and_predictions():
    network = keras.Sequential(
        [
            tfpl.DenseVariational(2, posterior, prior, kl_weight=1 / 64),
            tfpl.DistributionLambda(lambda t: tfd.Normal(t[..., :1], 1e-3 + tf.nn.softplus(t[..., 1:]))),
        ]
    )
    network.compile(keras.optimizers.Adam(0.05), lambda y, made: -made.log_prob(y))
    network.fit(X, Y, epochs=300, verbose=0)
    assert vb.evaluate(network, X, Y, seed=0).rmse < 0.3  # y is linear, with sd 1.4
    f = vb.predict_f(network, X, num_draws=50, seed=0)
    np.testing.assert_allclose(vb.predict_bands(network, X, num_draws=50, seed=0).mean, f.mean(0), atol=1e-5)
    y = vb.predict_y(network, x=X, num_draws=50, seed=0)
    assert y.std(0).mean() > f.std(0).mean()


def test_numbers_that_no_seed_reaches_are_refused():
    layers = [keras.layers.Dense(2), tfpl.IndependentNormal(1), keras.layers.Dense(1)]
    with pytest.raises(ValueError, match="random numbers that no seed reaches.*independent_normal"):
        vb.predict_f(keras.Sequential(layers), X, num_draws=2, seed=0)


@pytest.mark.slow
def test_a_layer_whose_distribution_gives_its_mean_is_no_noise():
    middle = tfpl.IndependentNormal(1, convert_to_tensor_fn=tfd.Distribution.mean)
    network = keras.Sequential([keras.layers.Dense(2), middle, keras.layers.Dense(1)])
    f = vb.predict_f(network, X, num_draws=2, seed=0)
    np.testing.assert_allclose(f[1], network(X), atol=1e-5)


def test_training_and_weights_by_rows_are_refused():
    network = keras.Sequential(LAYERS["DenseVariational"]())
    with pytest.raises(ValueError, match="predict_f, predict_y, predict_bands and evaluate take the result"):
        vb.fit(network, vb.likelihoods.Normal(), X, Y)

    def by_row(kernel_size, bias_size=0, dtype=None):
        return tfpl.DistributionLambda(lambda x: tfd.Independent(tfd.Normal(x[:, :kernel_size], 1.0), 1))

    network = keras.Sequential([tfpl.DenseVariational(1, by_row, vb.prior, use_bias=False)])
    with pytest.raises(ValueError, match="weights that differ from row to row are no function"):
        vb.predict_f(network, X, num_draws=2)
