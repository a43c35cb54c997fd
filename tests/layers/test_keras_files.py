"""tf_keras's own ways to save models that hold our layers."""

import itertools
import warnings

import numpy as np
import pytest
import registry
from other_keras import SAVED_MODELS, only_keras2

import varbump as vb
from varbump.core.keras import keras

X = np.random.default_rng(0).normal(size=(4, 2)).astype("float32")
FAMILIES, PRIORS = registry.flatten(registry.POSTERIORS), registry.flatten(registry.PRIORS)
PAIRS = [*zip(FAMILIES, itertools.cycle(PRIORS)), *zip(itertools.cycle(FAMILIES[::2]), PRIORS[len(FAMILIES) :])]

OLD = only_keras2(SAVED_MODELS)
"""Weights alone in the format of Keras 2, and as a checkpoint of TensorFlow."""


def model(posterior, prior):
    network = vb.build_network(
        2,
        hidden_units=(3,),
        make_posterior_fn=posterior,
        make_prior_fn=prior,
        activation=vb.layers.Bump(shared=False, trainable_height=True, trainable_center=True),
        estimator="flipout",
        kl_weight=0.1,
        seed=0,
    )
    generator = np.random.default_rng(0)
    network.set_weights([w + 0.1 * generator.uniform(size=w.shape).astype(w.dtype) for w in network.get_weights()])
    return network


def ours():
    """Both bumps as layers, beside a variational layer and layers of Keras."""
    inputs = keras.Input((2,))
    hidden = keras.layers.Dense(3, activation="gaussian_bump")(inputs)
    hidden = vb.layers.Bump("threshold", normalize=True, sigma_initializer=3.0)(hidden)
    hidden = vb.layers.GaussianBump(shared=False, trainable_center=True)(hidden)
    outputs = vb.layers.DenseVariational(1, vb.posterior, vb.prior, kl_weight=0.1, seed=0)(hidden)
    return keras.Model(inputs, outputs)


def assert_equal(first, second):
    """The same configuration, weights and draws."""
    for before, after in zip(first.layers, second.layers, strict=True):
        assert {**before.get_config(), "name": ""} == {**after.get_config(), "name": ""}
    for before, after in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    second.compile("sgd", vb.likelihoods.Normal())
    assert np.isfinite(second.evaluate(X, X[:, :1], verbose=0))


def saved(network, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tf_keras on its own older formats
        network.save(path)
        return keras.models.load_model(path)


@pytest.mark.slow
@pytest.mark.parametrize(("posterior", "prior"), PAIRS[1::4], ids=registry.name)
@pytest.mark.parametrize("suffix", [".keras"])
def test_each_family_and_prior(tmp_path, posterior, prior, suffix):
    network = model(posterior, prior)
    assert_equal(network, saved(network, tmp_path / f"model{suffix}"))


@pytest.mark.slow
@pytest.mark.parametrize(("posterior", "prior"), PAIRS, ids=registry.name)
@pytest.mark.parametrize("suffix", [".keras", ".h5", pytest.param("", marks=only_keras2(SAVED_MODELS))])
def test_every_family_and_prior_in_every_format(tmp_path, posterior, prior, suffix):
    network = model(posterior, prior)
    assert_equal(network, saved(network, tmp_path / f"model{suffix}"))


@pytest.mark.parametrize(
    "suffix",
    [
        ".keras",
        pytest.param(".h5", marks=pytest.mark.slow),
        pytest.param("", marks=[pytest.mark.slow, only_keras2(SAVED_MODELS)]),
    ],
)
def test_both_bumps_as_layers(tmp_path, suffix):
    network = ours()
    assert_equal(network, saved(network, tmp_path / f"model{suffix}"))


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".weights.h5", pytest.param(".h5", marks=OLD), pytest.param("", marks=OLD)])
@pytest.mark.parametrize("posterior", FAMILIES[::3], ids=registry.name)
def test_weights_alone(tmp_path, posterior, suffix):
    first, second = (
        model(posterior, vb.prior),
        vb.build_network(
            2,
            hidden_units=(3,),
            make_posterior_fn=posterior,
            activation=vb.layers.Bump(shared=False, trainable_height=True, trainable_center=True),
            seed=1,
        ),
    )
    first.save_weights(tmp_path / f"model{suffix}")
    second.load_weights(tmp_path / f"model{suffix}")
    for before, after in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.slow
def test_a_compiled_model_goes_on_training(tmp_path):
    network = ours()
    network.compile(keras.optimizers.Adam(0.01), vb.likelihoods.Normal(0.3))
    network.fit(X, X[:, :1], verbose=0)
    loaded = saved(network, tmp_path / "model.keras")
    assert loaded.loss.get_config() == network.loss.get_config()
    for before, after in zip(network.optimizer.variables, loaded.optimizer.variables, strict=True):
        np.testing.assert_array_equal(before, after)
    loaded.fit(X, X[:, :1], verbose=0)


@pytest.mark.slow
def test_a_loaded_network_draws_the_same(tmp_path):
    network = ours()
    loaded = saved(network, tmp_path / "model.keras")
    first, second = (vb.predict_f(m, X, num_draws=3, seed=0) for m in (network, loaded))
    np.testing.assert_array_equal(first, second)
