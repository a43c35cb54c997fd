import numpy as np
import pytest

from varbump.data import datasets


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


TOY = {
    "wiggly": (datasets.wiggly, datasets.wiggly_mean, lambda x: 0.25 + 0 * x, datasets.WIGGLY_CLUSTERS),
    "two_clusters": (
        datasets.two_clusters,
        lambda x: np.cos(2 * x + 0.4),
        lambda x: 0.2 + 0 * x,
        datasets.TWO_CLUSTERS,
    ),
    "fan": (datasets.fan, lambda x: np.sin(2 * x), datasets.fan_noise, (datasets.FAN_RANGE,)),
}


@pytest.mark.parametrize(("make", "mean", "noise", "clusters"), TOY.values(), ids=TOY)
class TestToyData:
    def test_shapes_and_seed(self, make, mean, noise, clusters):
        x, y = make(100, seed=3)
        assert x.shape == y.shape == (100, 1)
        assert x.dtype == y.dtype == np.float32
        assert (np.diff(x[:, 0]) >= 0).all()
        np.testing.assert_array_equal(y, make(100, seed=3)[1])
        assert not np.array_equal(y, make(100, seed=4)[1])

    def test_inputs_fill_the_clusters_and_nothing_else(self, make, mean, noise, clusters):
        x = make(10_000)[0][:, 0]
        inside = [(x >= low) & (x <= high) for low, high in clusters]
        assert np.any(inside, axis=0).all()
        for (low, high), which in zip(clusters, inside, strict=True):
            # by chance the 3,000 or more points leave 1 % of an interval free with probability exp(-30)
            assert x[which].min() < low + 0.01 * (high - low)
            assert x[which].max() > high - 0.01 * (high - low)

    def test_noise_is_what_it_says(self, make, mean, noise, clusters):
        x, y = (column.astype(float) for column in make(100_000))
        standardised = (y - mean(x)) / noise(x)
        for part in np.array_split(standardised, 5):
            # 5 standard errors of 20,000 points
            assert part.mean() == pytest.approx(0, abs=0.036)
            assert part.std() == pytest.approx(1, abs=0.025)

    def test_takes_another_noise_and_refuses_what_makes_no_sense(self, make, mean, noise, clusters):
        x, y = make(50, noise=0.0)
        np.testing.assert_allclose(y, mean(x), atol=1e-5)
        assert make(1)[0].shape == (1, 1)
        with pytest.raises(ValueError, match="num_data"):
            make(0)
        with pytest.raises(ValueError, match="noise"):
            make(10, noise=-1.0)
        with pytest.raises(ValueError, match="noise"):
            make(10, noise=np.sin)


def test_wiggly_has_two_thirds_of_its_points_left_of_the_gap_and_a_scale_of_one():
    x, y = datasets.wiggly(300)
    assert (x < 0).sum() == 200
    assert y.std() == pytest.approx(0.85, abs=0.15)
