"""Ctrl-C is put off where it would do harm, and never lost."""

import signal
import threading

import numpy as np
import pytest
import tensorflow as tf

import varbump as vb
from varbump.core.interrupts import safe_point, uninterrupted

pytestmark = pytest.mark.usefixtures("_handles_ctrl_c")


def ctrl_c():
    signal.raise_signal(signal.SIGINT)


def test_it_waits_for_the_end_of_the_outermost_block():
    done = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():  # noqa: PT012
        with uninterrupted():
            ctrl_c()
            done.append("inner")
        done.append("outer")
    assert done == ["inner", "outer"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_it_comes_at_a_safe_point():
    with uninterrupted():
        ctrl_c()
        with pytest.raises(KeyboardInterrupt):
            safe_point()
        safe_point()  # once only


def test_a_second_one_ends_the_innermost_block_and_a_third_comes_at_once():
    done = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():  # noqa: PT012
        with uninterrupted():
            ctrl_c()
            ctrl_c()
            done.append("inner")
        done.append("never")
    with pytest.raises(KeyboardInterrupt), uninterrupted(), uninterrupted():  # noqa: PT012
        ctrl_c()
        ctrl_c()
        done.append("third")
        ctrl_c()
        done.append("never")
    assert done == ["inner", "third"]
    safe_point()  # nothing is left


def test_a_handler_of_the_users_own_is_asked(monkeypatch):
    calls = []
    before = signal.signal(signal.SIGINT, lambda *_: calls.append("own"))
    try:
        with uninterrupted():
            ctrl_c()
            assert calls == []
        assert calls == ["own"]
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_put_nothing_off():
    def run():
        with uninterrupted():
            assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
            safe_point()
        done.append(True)

    done = []
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert done == [True]


@pytest.mark.slow
def test_one_that_is_swallowed_while_a_network_is_traced_still_surfaces():
    """TensorFlow calls Python in places that drop every exception, such as finalisers; a layer here does the same."""

    def swallows(x):
        try:
            ctrl_c()
            for _ in range(10):
                pass  # the handler runs between bytecodes
        except BaseException:
            pass
        return tf.nn.relu(x)

    x = np.linspace(-1, 1, 10)[:, None]
    network = vb.build_network(1, hidden_units=(2,), seed=0)
    network.layers[0].activation = swallows
    with pytest.raises(KeyboardInterrupt):
        vb.predict_f(network, x, num_draws=2, seed=0)
