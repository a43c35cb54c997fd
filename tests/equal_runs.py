"""Runs that end with the same bits, also if their processes were killed."""

import os
import signal
import subprocess
import sys
import time

import numpy as np

KILLS = 5


def assert_equal_runs(first, second):
    """Compare two pairs of arrays and a history."""
    for a, b in zip(first[0], second[0], strict=True):
        np.testing.assert_array_equal(a, b)
    assert first[1].history == second[1].history
    assert (first[1].best_epoch, first[1].stopped) == (second[1].best_epoch, second[1].stopped)


def assert_killed_runs_end_alike(script, *arguments, folder, wait):
    """Kill a script five times, each time resuming it, and compare its last word with that of a run without a break.

    The script prints "begins" first. Its last argument is the folder of the checkpoint, or is left out. `wait` is
    called with the process once there is a checkpoint, and returns at the moment of the kill.
    """
    whole, kills = _start(script, *arguments).communicate()[0].split()[-1], 0
    while True:
        process = _start(script, *arguments, folder)
        assert process.stdout.readline().strip() == "begins"
        while kills < KILLS and process.poll() is None:
            if (folder / "fit.checkpoint").exists():
                wait(process)
                process.send_signal(signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.02)
        output = process.communicate()[0]
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
    assert kills >= 3
    assert output.split()[-1] == whole
    assert os.listdir(folder) == ["fit.checkpoint"]


def _start(script, *arguments):
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
