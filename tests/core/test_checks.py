import warnings

import numpy as np
import pytest

from varbump.core.checks import check_array


@pytest.mark.parametrize(
    ("column", "kept"),
    [
        (1.7e9 + np.arange(60.0), 1),  # seconds since 1970: float32 steps by 128 there
        (1_700_000_000 + np.arange(500), 5),
        (np.concatenate([[0.0], 1.7e9 + np.arange(60.0)]), 2),  # one row elsewhere changes nothing
        (2**60 + np.arange(60), 1),
    ],
)
def test_values_that_float32_cannot_tell_apart_are_warned_of(column: np.ndarray, kept: int) -> None:
    table = np.stack([np.linspace(0.0, 1.0, len(column)), column], axis=1) if column.dtype == float else column
    index = table.ndim - 1
    with pytest.warns(UserWarning, match=f"column {index} of x has {len(column)} different .* only {kept} apart"):
        check_array(table, "x", "float32")


@pytest.mark.parametrize(
    "column",
    [
        np.random.default_rng(0).normal(size=20_000),
        1000.0 + 0.01 * np.random.default_rng(0).normal(size=20_000),  # merged, but into a thousand values
        np.arange(1000) % 2,
        np.arange(1000) % 7 * 0.1,
        np.where(np.arange(1000) % 2, 0.3, 0.1 + 0.2),  # one value, with a rounding error
        np.full(1000, 1.7e9 + 1.0),
        np.where(np.arange(1000) < 900, 1e-50 * np.arange(1000), np.arange(1000) % 7),  # tails that underflow
        1.7e9 + 86_400.0 * np.arange(300),  # days
        np.concatenate([np.zeros(600), np.random.default_rng(0).normal(size=400)]),
        np.concatenate([np.repeat([0.1, 0.2], 300), 1.0 + 1e-9 * np.arange(100)]),  # merged, but few rows
        np.float32(1.7e9) + np.arange(60, dtype=np.float32),
    ],
)
def test_ordinary_columns_are_not_warned_of(column: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_array(column, "x", "float32")


def test_float64_needs_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_array(1.7e9 + np.arange(60.0), "x", "float64")
