"""Tests of the release of machine code."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import tensorflow as tf

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
