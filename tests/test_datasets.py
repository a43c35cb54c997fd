import numpy as np
import pytest

from varbump import datasets


def test_cubic_shapes_and_seed():
    x, y = datasets.cubic(100, seed=3)
    assert x.shape == y.shape == (100, 1)
    assert x.dtype == y.dtype == np.float32
    np.testing.assert_array_equal(y, datasets.cubic(100, seed=3)[1])
    assert not np.array_equal(y, datasets.cubic(100, seed=4)[1])


def test_cubic_noise_grows_as_it_says():
    x, y = datasets.cubic(100_000)
    standardised = (y - x**3) / (0.1 * (2 + x))
    assert standardised.std() == pytest.approx(1, abs=0.012)  # 5 standard errors of 100,000 points
    assert standardised[: len(x) // 10].std() == pytest.approx(1, abs=0.036)


def test_cubic_takes_a_constant_noise():
    x, y = datasets.cubic(10_000, noise=0.3)
    assert (y - x**3).std() == pytest.approx(0.3, rel=0.04)


def test_cubic_refuses_what_makes_no_sense():
    with pytest.raises(ValueError, match="num_data"):
        datasets.cubic(0)
    with pytest.raises(ValueError, match="noise"):
        datasets.cubic(10, noise=-1.0)
