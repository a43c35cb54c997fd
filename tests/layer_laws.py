"""What holds for every layer whose weights are one draw of q, whatever it computes with them."""

import pickle

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

import varbump as vb
from varbump.core.keras import keras, trainable_variables_of
from varbump.forward._context import entered
from varbump.forward.apply import apply, rehearse
from varbump.forward.passes import ForwardPass
from varbump.forward.structure import network_structure

MEAN_FIELD = vb.posteriors.MeanFieldNormal()


def network_of(row_shape, *layers, dtype=None):
    """The layers, flattened, and a linear variational layer behind them."""
    output = vb.layers.DenseVariational(1, MEAN_FIELD, vb.prior, kl_weight=0.1, seed=9, dtype=dtype)
    return keras.Sequential([keras.Input(row_shape, dtype=dtype), *layers, keras.layers.Flatten(), output])


def moved(network, seed=0):
    """A network away from its start, where every covariance is zero."""
    generator = np.random.default_rng(seed)
    network.set_weights([w + 0.1 * generator.uniform(size=w.shape).astype(w.dtype) for w in network.get_weights()])
    return network


def function(network, x, seed=0):
    """One function at rows x: the draw of all weights is that of the noise of a seed."""
    size = rehearse(network, (1, *x.shape[1:])).num_noise
    noise = np.random.default_rng(seed).normal(size=size).astype("float32")
    return apply(network, tf.constant(x), noise=tf.constant(noise)).f.numpy()


def assert_one_function(network, x):
    """Rows in pieces, and in another order, have the values that they have together."""
    whole = function(network, x)
    pieces = [function(network, x[:1]), function(network, x[1:])]
    # another number of rows is another order of sums
    np.testing.assert_allclose(np.concatenate(pieces), whole, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(function(network, x[::-1])[::-1], whole, rtol=1e-5, atol=1e-6)
    assert not np.allclose(function(network, x, seed=1), whole)


def kl_of(layer, x):
    """KL that a layer reports to a pass, and how often."""
    with entered(ForwardPass(tf.random.stateless_normal([500], (1, 2)))) as forward:
        layer(x)
    return float(forward.kl), len(forward._kl)


def assert_exact_kl(layer, x):
    """The KL is that of tfd, and Keras adds it once, with its weight."""
    layer(x)
    for number, variable in enumerate(trainable_variables_of(layer.posterior)):
        variable.assign_add(np.random.default_rng(number).uniform(0.0, 0.1, variable.shape))
    expected = float(tfd.kl_divergence(layer.posterior(None), layer.prior(None)))
    assert layer.uses_exact_kl
    assert kl_of(layer, x) == (pytest.approx(expected, rel=1e-5), 1)
    layer.kl_weight = 0.01
    (loss,) = layer.losses
    assert float(loss) == pytest.approx(0.01 * expected, rel=1e-5)


def assert_gradients(network, x):
    """Every trainable weight has a gradient of the outputs and the KL."""
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(network(x))) + tf.add_n(network.losses)
    gradients = tape.gradient(loss, trainable_variables_of(network))
    assert len(gradients) >= 4
    assert all(g is not None and np.all(np.isfinite(g)) and np.any(np.asarray(g) != 0) for g in gradients)


def assert_config_round_trips(layer):
    """An equal layer comes from the configuration, also when that has been pickled."""
    config = layer.get_config()
    again = type(layer).from_config(pickle.loads(pickle.dumps(config)))
    assert again.get_config() == config
    assert type(again.make_posterior_fn) is type(layer.make_posterior_fn)
    assert vars(again.make_prior_fn) == vars(layer.make_prior_fn)


def assert_saved(network, x, tmp_path):
    """Files of varbump and of Keras give a network of the same bits."""
    moved(network)
    before = function(network, x)
    path = vb.save(network, tmp_path / "model.varbump") or tmp_path / "model.varbump"
    network.compile("sgd", vb.likelihoods.Normal())
    network.save(tmp_path / "model.keras")
    for loaded in (vb.load(path), keras.models.load_model(tmp_path / "model.keras")):
        np.testing.assert_array_equal(function(loaded, x), before)
        assert network_structure(loaded) == network_structure(network)


def assert_weight_shapes(layer, input_shape):
    """Shapes that are said beforehand are those of the outputs and weights that there are then."""
    weights = layer.weight_shapes((None, *input_shape[1:]))
    assert tuple(layer.compute_output_shape(input_shape)) == layer(np.zeros(input_shape, "float32")).shape
    assert [tuple(v.shape) for v in layer.weights] == weights


def assert_goes_everywhere(network, likelihood, x, y):
    """Whatever takes a network takes one with these layers, and what is drawn has the right shape."""
    options = {"likelihood": likelihood, "num_draws": 8, "seed": 0}  # no more than there are of NUTS
    ensemble = vb.fit_ensemble(network, likelihood, x, y, num_members=2, epochs=2, seed=0, verbose=0)
    nuts = vb.sample_nuts(network, likelihood, x, y, num_draws=4, num_warmup=10, num_chains=2, seed=0, verbose=0)
    sampled = vb.sample_posterior(
        network, likelihood, x, y, num_draws=8, num_warmup=10, num_chains=2, seed=0, verbose=0
    )
    others = [ensemble, nuts, sampled, vb.laplace(network, likelihood, x, y)]
    for model in (network, *others, vb.sample_prior(network, num_draws=20, seed=0)):
        f = vb.predict_f(model, x, num_draws=4, seed=0)
        assert f.shape == (4, *y.shape)
        assert np.isfinite(f).all()
    for model in (network, *others):
        assert vb.predict_y(model, likelihood, x, num_draws=4, seed=0).shape == (4, *y.shape)
        assert vb.predict_bands(model, x, **options).mean.shape == y.shape
        assert np.isfinite(vb.evaluate(model, x, y, **options).log_likelihood)
    report = vb.parameter_report(network, num_data=len(x))
    assert report.kl > 0.0
    assert [row.num_weights for row in report.layers] == [len(row.mean) for row in vb.weight_summary(network).layers]
    health = vb.health_report(network, likelihood, x, y, num_draws=20, seed=0)
    assert [row.num_weights for row in health.layers] == [row.num_weights for row in report.layers]
    return health
