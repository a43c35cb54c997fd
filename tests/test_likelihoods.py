"""Laws of every likelihood."""

import numpy as np
import pytest
import registry
import scipy.stats
import tensorflow as tf
import tf_keras
from registry import flatten, name

import varbump as vb

each = pytest.mark.parametrize("likelihood", flatten(registry.LIKELIHOODS), ids=name)


@each
def test_nll_has_one_number_an_observation(likelihood):
    assert likelihood.nll(np.zeros((5, 3), "float32"), np.zeros((5, 3), "float32")).shape == (5,)


@each
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nll_is_finite_for_finite_input(likelihood, dtype):
    large = 1e17  # its square over a scale of 0.07 still fits float32
    f = np.array([[0.0], [large], [-large], [1e-38]], dtype)
    with tf.GradientTape() as tape:
        f = tf.constant(f)
        tape.watch(f)
        nll = likelihood.nll(np.zeros((4, 1), dtype), f)
    assert nll.dtype == dtype
    assert np.isfinite(nll).all()
    assert np.isfinite(tape.gradient(nll, f)).all()


@each
def test_keras_loss_is_the_mean_nll(likelihood):
    generator = np.random.default_rng(0)
    y, f = generator.normal(size=(2, 50, 2)).astype("float32")
    np.testing.assert_allclose(likelihood(y, f), np.mean(likelihood.nll(y, f)), rtol=1e-6)


@each
def test_config_round_trips(likelihood):
    restored = tf_keras.saving.deserialize_keras_object(tf_keras.saving.serialize_keras_object(likelihood))
    assert type(restored) is type(likelihood)
    assert restored.get_config() == likelihood.get_config()


@each
def test_samples_have_the_mean_and_sd_that_it_says(likelihood):
    f = np.full((100_000, 1), 3.0)
    y = likelihood.sample(f, (1, 2)).numpy()
    sd = float(likelihood.stddev(f)[0, 0])
    # 5 standard errors of 100,000 draws: a false alarm in 1 of 1.7 million
    assert abs(y.mean() - 3.0) < 5 * sd / np.sqrt(1e5)
    assert abs(y.std() / sd - 1) < 5 / np.sqrt(2e5)
    np.testing.assert_array_equal(y, likelihood.sample(f, (1, 2)))
    assert not np.array_equal(y, likelihood.sample(f, (1, 3)))


@pytest.mark.parametrize("scale", [0.07, 1.0, 30.0])
def test_normal_nll_is_that_of_scipy(scale):
    generator = np.random.default_rng(0)
    y, f = generator.normal(size=(2, 50, 3))
    expected = -scipy.stats.norm.logpdf(y, f, scale).sum(-1)
    np.testing.assert_allclose(vb.likelihoods.Normal(scale).nll(y, f), expected, rtol=1e-12)


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
def test_normal_refuses_a_scale_out_of_range(scale):
    with pytest.raises(ValueError, match="scale, a standard deviation, must be a finite number above 0"):
        vb.likelihoods.Normal(scale)
