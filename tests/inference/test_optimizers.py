import numpy as np
import pytest
import tensorflow as tf

from varbump.inference.vi.optimizers import Adam, _reciprocal_sqrt, make_optimizer


def test_reciprocal_square_root_is_good_to_5e_6():
    v = np.logspace(-14, 14, 10_001).astype("float32")
    np.testing.assert_allclose(_reciprocal_sqrt(tf.constant(v)) * np.sqrt(v), 1, atol=6e-6)
    np.testing.assert_allclose(_reciprocal_sqrt(tf.constant(v.astype(float))) * np.sqrt(v.astype(float)), 1, atol=1e-12)


def naive_adam(theta, gradients, rate):
    m = v = np.zeros_like(theta)
    for t, g in enumerate(gradients, start=1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        theta = theta - rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return theta


def test_adam_is_the_algorithm_of_the_paper():
    generator = np.random.default_rng(0)
    shapes = [(3,), (2, 4), (130, 130)]  # two that share a vector, one of its own
    start = [generator.normal(size=shape) for shape in shapes]
    gradients = [[generator.normal(size=shape) + 5.0 for shape in shapes] for _ in range(20)]  # far from epsilon
    adam = Adam([tf.TensorSpec(value.shape, value.dtype) for value in start])
    state = adam.start(start)
    for alpha, g in zip(adam.step_sizes(np.full(20, 0.1)), gradients, strict=True):
        state = adam.step(state, [tf.constant(x) for x in g], tf.constant(alpha))
    for i, value in enumerate(adam.values(state)):
        expected = naive_adam(start[i], [g[i] for g in gradients], 0.1)
        np.testing.assert_allclose(value, expected, atol=1e-7)


def test_what_is_no_optimizer_is_refused():
    with pytest.raises(TypeError, match="optimizer must be"):
        make_optimizer(3, [])
