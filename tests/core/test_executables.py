"""Tests of the release of machine code."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from varbump.core import executables
from varbump.core.executables import release_executables
from varbump.forward.programs import compiled


def mappings() -> int:
    return len(Path("/proc/self/maps").read_text().splitlines())


def program(k: int):
    def body(i, x):
        return i + 1, tf.sin(x * k) + tf.linalg.matvec(tf.ones([8, 8]) * 0.1, x)

    return compiled(lambda x: tf.while_loop(lambda i, _: i < 3, body, (0, x))[1])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts the mappings of a process of Linux")
def test_machine_code_is_released_and_functions_compile_again():
    x = tf.linspace(0.0, 1.0, 8)
    program(7)(x)  # what is needed once only
    release_executables()
    functions = [program(k) for k in range(6)]
    before = mappings()
    values = [f(x).numpy().tolist() for f in functions]
    compiled = mappings() - before
    assert compiled > 6
    release_executables()
    assert mappings() - before < compiled / 2
    assert [f(x).numpy().tolist() for f in functions] == values


def test_nothing_to_release():
    release_executables()
    release_executables()


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts the mappings of a process of Linux")
def test_room_is_made_when_there_is_too_much(monkeypatch):
    x = tf.linspace(0.0, 1.0, 8)
    program(7)(x)
    monkeypatch.setattr(executables, "CHECKS", 1)
    granted = int(Path("/proc/sys/vm/max_map_count").read_text())
    monkeypatch.setattr(executables, "MOST_MAPPINGS", (mappings() + 60) / granted)
    values, seen = [], []
    for k in range(60):
        values.append(program(k)(x).numpy().tolist())
        seen.append(mappings())
    assert np.diff(seen).min() < -20  # let go at least once
    assert max(seen) < seen[0] + 120  # half of what 60 programs take
    assert [program(k)(x).numpy().tolist() for k in range(5)] == values[:5]


def test_machine_code_stays_while_it_runs():
    inside, go_on = threading.Event(), threading.Event()

    def run():
        with executables.executing():
            inside.set()
            go_on.wait(30)

    thread = threading.Thread(target=run)
    thread.start()
    inside.wait(30)
    assert not release_executables()
    go_on.set()
    thread.join()
    assert release_executables()
