"""Quiet TensorFlow, no display, and a fixed global seed for each test: none depends on the order of others."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import pytest
import tf_keras


@pytest.fixture(autouse=True)
def _fresh_state():
    tf_keras.utils.set_random_seed(12345)
    yield
    plt.close("all")
    tf_keras.backend.clear_session()
