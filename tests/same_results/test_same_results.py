"""Short runs end with the numbers that they ended with when golden.json was recorded."""

import json
from pathlib import Path

import numpy as np
import pytest
from same_results.cases import CASES, FLOAT64

GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text())

FLOAT32_HISTORY = {"loss", "nll", "kl"}
"""Columns that the training loop keeps in single precision, whatever the network computes in."""

FAST = {"mean_field"}
"""Nearly all of the time goes into compiling: the others are slow tests."""


def test_every_case_was_recorded():
    assert set(CASES) == set(GOLDEN)


@pytest.mark.parametrize("name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in CASES])
def test_numbers_are_those_recorded(name):
    result = CASES[name]()
    assert set(result) == set(GOLDEN[name])
    for key, expected in GOLDEN[name].items():
        # float rounding of a short run of 50 steps: with SSE instead of AVX-512, without XLA, or with inputs that are
        # off by 2e-7, float32 results move by a tenth of this at most
        rtol, atol = 2e-4, 2e-5
        if name in FLOAT64:
            rtol = atol = 1e-6 if key in FLOAT32_HISTORY else 1e-9
        np.testing.assert_allclose(result[key], expected, rtol=rtol, atol=atol, err_msg=key)
