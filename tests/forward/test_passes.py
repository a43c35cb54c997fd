import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from varbump.core.random import standard_normal
from varbump.forward._context import entered
from varbump.forward.passes import ForwardPass

SEED = (5, 9)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_normal_draws_are_the_same_eagerly_in_graphs_and_under_xla(dtype):
    eager = standard_normal([100, 33], SEED, dtype)
    for options in ({}, {"jit_compile": True}):
        other = tf.function(lambda: standard_normal([100, 33], SEED, dtype), **options)()
        # one generator of integers; erfinv is another kernel, good to some rounding errors of its argument
        np.testing.assert_allclose(other, eager, atol=1e-4 if dtype == tf.float32 else 1e-12)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_normal_draws_are_normal(dtype):
    draws = np.asarray(standard_normal([200_000], SEED, dtype), float)
    assert np.isfinite(draws).all()
    # seed fixed; a p-value below 1e-4 would be one in ten thousand for a right generator
    assert scipy.stats.kstest(draws, "norm").pvalue > 1e-4
    assert scipy.stats.kstest(draws[::2] * draws[1::2], scipy.stats.norm.rvs(size=100_000, random_state=0)
                              * scipy.stats.norm.rvs(size=100_000, random_state=1)).pvalue > 1e-4  # fmt: skip


def test_the_extreme_integers_give_finite_draws(monkeypatch):
    for dtype, bits in ((tf.float32, tf.uint32), (tf.float64, tf.uint64)):
        extremes = tf.constant([0, bits.max], bits)
        monkeypatch.setattr(tf.random, "stateless_uniform", lambda *a, e=extremes, **k: e)
        draws = standard_normal([2], SEED, dtype).numpy()
        assert np.isfinite(draws).all()
        assert draws[0] == -draws[1]


def test_a_pass_hands_out_consecutive_slices():
    with entered(ForwardPass(tf.range(10.0))) as forward:
        first, second = forward.take(3, tf.float32), forward.take(2, tf.float64)
    np.testing.assert_array_equal(first, [0, 1, 2])
    np.testing.assert_array_equal(second, [3, 4])
    assert second.dtype == tf.float64
    assert forward.taken == 5


def test_seeds_of_a_pass_differ():
    forward = ForwardPass(None, SEED)
    assert not np.array_equal(forward.take_seed(), forward.take_seed())


def test_kl_of_a_pass_without_variational_layers_is_zero():
    assert float(ForwardPass(None).kl) == 0.0
