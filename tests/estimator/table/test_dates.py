"""Cycles of dates."""

import numpy as np
import pytest

from varbump.estimator.table.dates import CYCLES, cycles_of, phases

GENERATOR = np.random.default_rng(0)

TABLES = {
    "three years of days": (np.arange(1100.0), ("year", "week")),
    "three years of hours": (np.arange(0.0, 1100.0, 1 / 24), ("year", "week", "day")),
    "three years of weeks": (np.arange(0.0, 1100.0, 7.0), ("year",)),
    "the same hour each day": (np.arange(100.0) + 0.5, ("week",)),
    "a year": (np.arange(365.0), ("week",)),
    "a fortnight of days": (np.arange(14.0), ()),
    "a fortnight of minutes": (np.arange(0.0, 14.0, 1 / 1440), ("day",)),
    "an afternoon": (np.arange(0.5, 0.7, 1 / 1440), ()),
    "one day": (np.full(5, 3.0), ()),
    "nothing": (np.full(5, np.nan), ()),
}


@pytest.mark.parametrize("case", TABLES)
def test_cycles_that_a_table_spans(case):
    days, cycles = TABLES[case]
    assert cycles_of(days) == cycles
    assert cycles_of(np.append(GENERATOR.permutation(days), np.nan)) == cycles


@pytest.mark.parametrize("name", CYCLES)
def test_phases_come_back(name):
    days = np.array([0.1, 3.7, np.nan])
    waves = phases(days, (name,))
    assert waves.shape == (3, 2)
    # days near 1e4 have rounding errors of 1e-12
    np.testing.assert_allclose(phases(days + 20 * CYCLES[name], (name,)), waves, atol=1e-9)
    np.testing.assert_allclose((waves[:2] ** 2).sum(axis=1), 1.0)
    assert np.isnan(waves[2]).all()
