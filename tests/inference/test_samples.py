"""Several draws of the weights a step."""

import numpy as np
import pytest
import tensorflow as tf

import varbump as vb
from varbump.inference.vi.step import Step

X = np.linspace(-1, 1, 20, dtype="float32")[:, None]
LIKELIHOOD = vb.likelihoods.Normal(0.3)


def test_the_step_averages_the_steps_of_its_draws():
    network = vb.build_network(1, hidden_units=(3,), seed=0)
    one, three = Step(network, LIKELIHOOD, 20.0), Step(network, LIKELIHOOD, 20.0, num_samples=3)
    assert three.count_noise([20, 1]) == 3 * one.count_noise([20, 1])
    noise = np.random.default_rng(0).normal(size=three.count_noise([20, 1])).astype("float32")
    seed = tf.constant([1, 2])
    gradients, nll, kl = three.gradient(X, X, None, tf.constant(noise), seed, 0.5)
    singles = [one.gradient(X, X, None, tf.constant(part), seed, 0.5) for part in np.split(noise, 3)]
    assert float(nll) == pytest.approx(np.mean([float(s[1]) for s in singles]), rel=1e-5)
    assert float(kl) == pytest.approx(float(singles[0][2]), rel=1e-5)
    for index, gradient in enumerate(gradients):
        expected = np.mean([s[0][index] for s in singles], axis=0)
        np.testing.assert_allclose(gradient, expected, atol=1e-5 * (1 + np.abs(expected).max()))


def test_a_count_out_of_range_is_refused():
    with pytest.raises(ValueError, match="num_samples must be an integer of at least 1"):
        vb.fit(vb.build_network(seed=0), LIKELIHOOD, X, X, num_samples=0, verbose=0)
