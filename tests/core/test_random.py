"""Seeds and generators are functions of what they are made from, and stay what they were in earlier versions."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from varbump.core.random import generator, host_seed, standard_normal, stateless_seeds

SEED = (5, 9)


@pytest.mark.parametrize("path", [(7,), (7, 3), (0,), (2**31 - 1, 5)])
def test_generators_are_those_of_numpy(path):
    expected = np.random.default_rng(path if len(path) > 1 else path[0])
    np.testing.assert_array_equal(generator(*path).normal(size=5), expected.normal(size=5))


def test_seeds_of_stateless_operations_are_words_of_numpys_seed_sequence():
    words = np.random.SeedSequence((7, 2)).generate_state(6)
    seeds = stateless_seeds(7, 2, count=3)
    assert (seeds.shape, seeds.dtype) == ((3, 2), np.int32)
    np.testing.assert_array_equal(seeds.view(np.uint32).ravel(), words)


def test_paths_that_differ_give_other_seeds():
    seeds = [tuple(stateless_seeds(*path)[0]) for path in ((7,), (8,), (7, 1), (7, 2), (7, 1, 2))]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize("seed", [-1, 2**31, True, 1.0, "1"])
def test_a_seed_out_of_range_is_named(seed):
    with pytest.raises(ValueError, match="seed must be an integer from 0"):
        host_seed(seed)


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
