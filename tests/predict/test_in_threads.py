"""Blocks of rows are shared out among threads, which changes neither order nor numbers."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import varbump as vb
from varbump.core.threads import each_in_threads
from varbump.predict import predictive
from varbump.predict.predictive import Predictive


def test_results_are_in_order_and_by_several_threads():
    barrier = threading.Barrier(2, timeout=30)
    with ThreadPoolExecutor(2) as pool, pytest.MonkeyPatch.context() as patch:  # this machine may have one core only
        patch.setattr("varbump.core.threads._threads", lambda: pool)
        names = each_in_threads(lambda _: (barrier.wait(), threading.current_thread().name)[1], range(2))
    assert len(set(names)) == 2
    assert each_in_threads(lambda item: item**2, range(50)) == [item**2 for item in range(50)]


def test_settings_of_the_caller_hold_and_errors_arrive():
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        each_in_threads(lambda item: np.ones(1) / item, [1.0, 0.0, 2.0])


def test_threads_do_not_wait_for_each_other():
    """In a pool of a few threads, tasks that wait for tasks of the same pool would never end."""
    nested = each_in_threads(lambda item: each_in_threads(lambda other: (item, other), range(3)), range(20))
    assert nested[7] == [(7, 0), (7, 1), (7, 2)]


def test_predictions_have_the_same_bits(monkeypatch):
    network = vb.build_network(num_features=2, hidden_units=(8,), seed=0)
    x = np.random.default_rng(0).normal(size=(1_000, 2)).astype(np.float32)
    of = Predictive(network, [vb.likelihoods.Normal(0.3)], 60, seed=1)
    threaded = of.quantiles(x, [0.1, 0.9]), *of.moments(x)
    monkeypatch.setattr(predictive, "each_in_threads", lambda function, items: [function(item) for item in items])
    for ours, one_by_one in zip(threaded, (of.quantiles(x, [0.1, 0.9]), *of.moments(x)), strict=True):
        np.testing.assert_array_equal(ours, one_by_one)
