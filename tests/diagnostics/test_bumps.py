import numpy as np
import pytest

import varbump as vb
from varbump.core.keras import keras

X = np.random.default_rng(0).normal(size=(200, 2)).astype("float32")


@pytest.mark.slow
def test_a_network_at_its_start_is_alive():
    for seed in range(2):
        report = vb.bump_report(vb.build_network(2, hidden_units=(8, 8), activation="bump", seed=seed), X)
        assert len(report.layers) == 2
        assert report.findings == []
        assert all(layer.live_fraction == 1.0 for layer in report.layers)
    assert "Every unit is reached" in str(report)


def test_dead_units_and_sigmas_are_counted():
    layer = vb.layers.Bump(shared=False, sigma_initializer=1.0)
    model = keras.Sequential([keras.Input((2,)), layer])
    far = np.column_stack([X[:, 0], np.full(200, 5.0)])
    report = vb.bump_report(model, far)
    assert report.layers[0].live_fraction == 0.5
    assert report.layers[0].dead_sigmas == [1]
    np.testing.assert_allclose(report.layers[0].reached, [np.mean(np.abs(X[:, 0]) < 0.99), 0.0], atol=0.05)
    assert "1 of 2 units are reached by no input, and 1 of 2 sigmas get no gradient" in report.findings[0]
    assert "GaussianBump" in " ".join(str(report).split())


def test_gaussian_bumps_do_not_die():
    model = keras.Sequential([keras.Input((2,)), vb.layers.GaussianBump()])
    assert vb.bump_report(model, X + 3).findings == []


def test_a_network_without_bumps_is_refused():
    with pytest.raises(ValueError, match="no Bump or GaussianBump"):
        vb.bump_report(keras.Sequential([keras.layers.Dense(1)]), X)
