"""Ctrl-C on the command line: exit code 130, one sentence, and nothing half-written."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")]

SCRIPT = """
import sys
sys.argv[0] = "varbump"
from varbump.cli import main
print("begun", flush=True)
main()
"""


def run(folder, seconds=None):
    """Exit code, standard error and seconds of a fit that is interrupted after some seconds."""
    arguments = ["fit", "data.csv", "-t", "y", "--out", "run", "--max-iter", "100", "--members", "2", "--hidden", "4"]
    arguments += ["--likelihood", "normal", "--embedding", "none"]
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout.readline() == "begun\n"
    began = time.perf_counter()
    if seconds is not None:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
    _, error = process.communicate()
    return process.returncode, error, time.perf_counter() - began


def test_fit(tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 2))
    np.savetxt(tmp_path / "data.csv", np.c_[x, x.sum(1)], delimiter=",", header="a,b,y", comments="")
    code, error, whole = run(tmp_path)
    assert code == 0, error
    names = sorted(os.listdir(tmp_path / "run"))
    for number, share in enumerate((0.01, 0.2, 0.5, 0.7, 0.8, 0.9, 0.97)):
        folder = tmp_path / str(number)
        folder.mkdir()
        os.link(tmp_path / "data.csv", folder / "data.csv")
        code, error, _ = run(folder, share * whole)
        found = sorted(set(os.listdir(folder)) - {"data.csv"})
        if code in (0, -signal.SIGINT):  # all was done, and at most the interpreter was not down yet
            assert found == ["run"]
            continue
        assert code == 130, error
        said = {"": "varbump: interrupted", "nothing": "varbump: interrupted; nothing was written"}
        assert error.strip() in (*said.values(), "varbump: interrupted; run was written")
        assert found == (["run"] if "run was" in error else [])
        if found:
            assert sorted(os.listdir(folder / "run")) == names
