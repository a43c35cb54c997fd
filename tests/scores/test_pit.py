"""Histograms of the probability integral transform."""

import numpy as np

from varbump.scores import PITHistogram


def test_band_of_the_pit_holds_all_bars_of_a_calibrated_model():
    generator = np.random.default_rng(0)
    held = []
    for _ in range(2000):
        made = PITHistogram.of(generator.uniform(size=200), 10)
        held.append((made.density >= made.low).all() and (made.density <= made.high).all())
    assert np.mean(held) > 0.94  # at least 95 %, known to 0.5 %
