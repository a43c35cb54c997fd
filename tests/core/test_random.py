"""Seeds and generators are functions of what they are made from, and stay what they were in earlier versions."""

import numpy as np
import pytest

from varbump.core.random import generator, host_seed, stateless_seeds


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
