"""Several draws of the weights a step."""

import numpy as np
import pytest
import tensorflow as tf

import varbump as vb
from varbump.inference.vi.loss import Batch, NetworkLoss
from varbump.inference.vi.members import Members

X = np.linspace(-1, 1, 20, dtype="float32")[:, None]
LIKELIHOOD = vb.likelihoods.Normal(0.3)


@pytest.mark.slow
def test_the_step_averages_the_steps_of_its_draws():
    network = vb.build_network(1, hidden_units=(3,), seed=0)
    one, three = NetworkLoss(network, LIKELIHOOD, (1,)), NetworkLoss(network, LIKELIHOOD, (1,), num_samples=3)
    assert three.count_noise([20, 1]) == 3 * one.count_noise([20, 1])
    noise = np.random.default_rng(0).normal(size=three.count_noise([20, 1])).astype("float32")
    values, batch = [v.value()[None] for v in one.trainable], Batch(tf.constant(X), tf.constant(X), None)

    @tf.function
    def gradient(loss, part):
        return Members(loss, 1).gradient(values, [], [], batch, part, tf.constant([1, 2]), 0.5 / 20.0)

    averaged, singles = gradient(three, noise), [gradient(one, part) for part in np.split(noise, 3)]
    assert float(averaged.nll) == pytest.approx(np.mean([float(s.nll) for s in singles]), rel=1e-5)
    assert float(averaged.kl) == pytest.approx(float(singles[0].kl), rel=1e-5)
    for index, result in enumerate(averaged.gradients):
        expected = np.mean([s.gradients[index] for s in singles], axis=0)
        np.testing.assert_allclose(result, expected, atol=1e-5 * (1 + np.abs(expected).max()))


def test_a_count_out_of_range_is_refused():
    with pytest.raises(ValueError, match="num_samples must be an integer of at least 1"):
        vb.fit(vb.build_network(seed=0), LIKELIHOOD, X, X, num_samples=0, verbose=0)
