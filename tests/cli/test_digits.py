"""Predictions in text have the digits that mean something."""

import numpy as np
import pytest

from varbump.cli.digits import rounded


@pytest.mark.parametrize(
    ("value", "sd", "text"),
    [
        (1.2345678901234567, 2.0, "1.234568"),
        (-0.00012345678901, 1.0, "-0.0001234568"),
        (123456789.123, 1e9, "123456800.0"),
        (1e9 + 0.123456789, 1.0, "1000000000.123457"),  # its place in its interval is in the last digits
        (3.0, 0.0, "3.0"),
        (0.0, 1.0, "0.0"),
        (1.2345678901e-310, 1.0, "1.234568e-310"),
        (np.nan, np.nan, "nan"),
        (np.inf, np.nan, "inf"),
    ],
)
def test_seven_digits_of_the_value_and_of_the_sd(value, sd, text):
    assert repr(float(rounded(np.array([value]), np.array([sd]))[0])) == text


def test_an_array_is_rounded_entry_by_entry():
    generator = np.random.default_rng(0)
    values, sd = 10.0 ** generator.uniform(-20, 20, (50, 4)), np.full((50, 1), 1e30)
    made = rounded(values, sd)
    np.testing.assert_array_equal(made, [[float(f"{value:.7g}") for value in row] for row in values])
