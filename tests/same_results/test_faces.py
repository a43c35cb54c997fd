"""Keras 2 and Keras 3 give the same bits, and each reads what the other has written."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from same_results.one_face import FAMILIES

SCRIPT = Path(__file__).with_name("one_face.py")


def run(face, *folders):
    """Run the script with one Keras."""
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "VARBUMP_KERAS": face, "PYTHONPATH": paths}
    command = [sys.executable, str(SCRIPT), *map(str, folders)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = {face: tmp_path_factory.mktemp(f"keras{face}") for face in ("2", "3")}
    for face, folder in made.items():
        run(face, folder)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_draws_after_300_epochs_are_the_same_bits(folders, family):
    first, second = (np.load(folder / "draws.npz")[family] for folder in folders.values())
    assert first.shape == (50, 9, 1)
    assert np.ptp(first) > 0.1
    np.testing.assert_array_equal(first, second)


@pytest.mark.slow
@pytest.mark.parametrize(("face", "other"), [("2", "3"), ("3", "2")])
def test_archives_are_read_by_the_other(folders, face, other):
    run(face, folders[face], folders[other])
    loaded, written = np.load(folders[face] / "loaded.npz"), np.load(folders[other] / "predicted.npz")
    assert set(loaded) == set(written)
    assert len(written) == 7
    for name in written:
        assert np.ptp(written[name]) > 0.01, name
        # the two compute the normalisation of a layer by other formulas, which round differently
        np.testing.assert_allclose(loaded[name], written[name], rtol=0, atol=1e-6 * (name == "plain"), err_msg=name)
