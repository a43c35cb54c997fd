"""Names of the package are imported when they are used; Keras knows the classes at once, the command line waits."""

import json
import subprocess
import sys

import pytest

import varbump
from varbump.core.keras import NAME


def run(code, *arguments):
    command = [sys.executable, *(arguments or ("-c", code))]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_name_is_there():
    assert {"fit", "VariationalRegressor", "layers"} <= set(dir(varbump)) == set(varbump.__all__) - {"__version__"}
    for name in varbump.__all__:
        assert getattr(varbump, name) is not None
    assert callable(varbump.evaluate)  # and not the module of that name
    with pytest.raises(AttributeError, match="nothing"):
        varbump.nothing  # noqa: B018


def test_a_bare_import_costs_little_and_registers_our_classes():
    code = (
        f"import {NAME} as keras"
        + """
import json, sys, time
import tensorflow, tensorflow_probability
before = set(sys.modules)
began = time.process_time()
import varbump
took = time.process_time() - began
more = {name.split(".")[0] for name in set(sys.modules) - before}
keras.layers.Dense(2, activation="bump")
try:
    varbump.nothing
    raised = False
except AttributeError:
    raised = True
print(json.dumps([took, sorted(more), raised, callable(varbump.fit), varbump.datasets.__name__]))
"""
    )
    result = run(code)
    assert result.returncode == 0, result.stderr
    took, more, raised, callable_fit, submodule = json.loads(result.stdout)
    assert took < 0.6  # the bar is 0.3 s on a quiet machine; here others may run beside
    assert not set(more) & {"sklearn", "matplotlib", "click", "pyarrow", "pandas", "scoringrules"}
    assert (raised, callable_fit, submodule) == (True, True, "varbump.data.datasets")


def test_star_import():
    names: dict = {}
    exec("from varbump import *", names)
    assert set(varbump.__all__) <= set(names)


def test_help_and_slips_come_before_tensorflow(tmp_path):
    for arguments, code in ((["--help"], 0), (["fit"], 2), (["fit", str(tmp_path / "no.csv"), "-t", "y"], 1)):
        result = run(None, "-X", "importtime", "-m", "varbump", *arguments)
        assert result.returncode == code
        assert "click" in result.stderr
        assert "| tensorflow" not in result.stderr.replace("|   ", "| ").replace("  ", "")


def test_without_the_extra_it_is_named():
    code = """
import sys
sys.argv = ["varbump"]
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in ("click", "pyarrow") else find(name, *rest)
from varbump.cli import main
main()
"""
    result = run(code)
    assert result.returncode == 1
    assert result.stderr == ('varbump: the command line needs click and pyarrow; run: pip install "varbump[cli]"\n')
