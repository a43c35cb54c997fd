"""Quiet TensorFlow, no display, and a fixed global seed for each test: none depends on the order of others."""

import gc
import os
import signal

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import pytest

import varbump as vb
from varbump.core.keras import FACE, keras

CLEARED = {} if FACE == 2 else {"free_memory": False}  # Keras 3 would collect garbage after each test, in 0.2 s

gc.freeze()  # what the imports made stays: without it, every collection would visit it again


@pytest.fixture(autouse=True)
def _fresh_state():
    keras.utils.set_random_seed(12345)
    yield
    plt.close("all")
    keras.backend.clear_session(**CLEARED)


@pytest.fixture(autouse=True, scope="module")
def _no_programs_of_other_modules():
    yield
    vb.clear_programs()


@pytest.fixture
def _handles_ctrl_c():
    """Python's own handler, which a process that was started in the background does not have."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
