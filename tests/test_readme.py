"""The README is run: its Python as it stands, and its claims held against the package."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import varbump as vb
from varbump.core.keras import NAME

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(block, id=str(i), marks=pytest.mark.slow if i in (1, 2, 3, 4, 5, 6) else [])
        for i, block in enumerate(BLOCKS)
    ],
)
def test_python_blocks_run(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    block = block.replace("import tf_keras", f"import {NAME} as tf_keras")  # the Keras in use
    exec(compile(block, "README.md", "exec"), {})


def test_shell_commands_make_their_own_environment():
    commands = re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
    assert len(commands) == 2
    assert all(command.startswith("python3 -m venv ") for command in commands)


def test_pictures_and_files_exist():
    for path in re.findall(r"\]\(((?!http)[^)#]+)\)", TEXT):
        assert (ROOT / path).is_file(), path
    for script in re.findall(r"experiments/\w+\.py", TEXT):
        assert (ROOT / script).is_file(), script


def test_names_of_the_table_exist():
    for name in re.findall(r"`vb\.([\w.]+)", TEXT):
        target = vb
        for part in name.split("."):
            target = getattr(target, part)


def test_counts_are_those_of_the_package():
    report = vb.parameter_report(vb.build_network(), num_data=5000)
    for number in (report.num_trainable, report.num_weights, report.num_covariances):
        assert f"{number:,}" in TEXT


@pytest.mark.slow
def test_import_is_quiet():
    command = [sys.executable, "-W", "error::UserWarning", "-c", "import varbump; varbump.fit"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""
