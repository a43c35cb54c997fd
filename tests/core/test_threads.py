"""Tasks in threads: their order, their errors, and what Ctrl-C makes of them."""

import signal
import threading
import time

import numpy as np
import pytest

from varbump.core.interrupts import safe_point
from varbump.core.threads import in_threads

pytestmark = pytest.mark.usefixtures("_handles_ctrl_c")

MANY = 500  # safe points, 10 ms apart


def presses_ctrl_c():
    signal.raise_signal(signal.SIGINT)  # Python answers it in the main thread


def keeps(done):
    """A task that has a result after an interruption, as a fit has after its first epoch."""
    try:
        for _ in range(MANY):
            safe_point()
            time.sleep(0.01)
    except KeyboardInterrupt:
        done.append("kept")
        for _ in range(5):
            safe_point()  # once only
        return "kept"
    return "finished"


def fails_to_keep():
    for _ in range(MANY):
        safe_point()
        time.sleep(0.01)


def test_they_run_at_once_and_results_are_in_order():
    barrier = threading.Barrier(2, timeout=30)
    assert in_threads([lambda: (barrier.wait(), "a")[1], lambda: (barrier.wait(), "b")[1]], 2) == ["a", "b"]
    assert in_threads([lambda index=index: index for index in range(7)], 1) == list(range(7))


def test_settings_of_the_caller_hold_in_them():
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        in_threads([lambda: np.ones(1) / 0.0], 1)


def test_an_error_is_raised_once_all_have_ended():
    ended = []

    def slow():
        time.sleep(0.3)
        ended.append("slow")

    with pytest.raises(ValueError, match="of a task"):
        in_threads([lambda: (_ for _ in ()).throw(ValueError("of a task")), slow], 2)
    assert ended == ["slow"]


def test_ctrl_c_keeps_what_tasks_keep_and_nothing_else():
    done = []
    tasks = [lambda: (presses_ctrl_c(), keeps(done))[1], fails_to_keep, lambda: done.append("not begun")]
    assert in_threads(tasks, 2) == ["kept", None, None]
    assert done == ["kept"]


def test_ctrl_c_is_raised_if_nothing_is_kept():
    with pytest.raises(KeyboardInterrupt):
        in_threads([lambda: (presses_ctrl_c(), fails_to_keep())[1], fails_to_keep], 2)


def test_a_handler_of_the_users_own_decides():
    calls = []
    before = signal.signal(signal.SIGINT, lambda *_: calls.append("own"))
    try:
        assert in_threads([lambda: (presses_ctrl_c(), time.sleep(0.5), "finished")[2]], 1) == ["finished"]
    finally:
        signal.signal(signal.SIGINT, before)
    assert calls == ["own"]


def test_whoever_insists_is_not_kept_waiting():
    go_on = threading.Event()

    def stuck():  # without a safe point
        for _ in range(3):
            presses_ctrl_c()
            time.sleep(0.3)
        go_on.wait(30)

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        in_threads([stuck], 1)
    go_on.set()
    assert time.monotonic() - began < 20.0
