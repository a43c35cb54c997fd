"""Each script runs with a tiny budget and leaves its picture."""

import importlib.util
from pathlib import Path

import pytest

EXPERIMENTS = Path(__file__).resolve().parent.parent / "experiments"

RUNS = {
    "cubic": ["--num-data", "200", "--epochs", "2"],
    "nan_loss": ["--num-data", "64", "--epochs", "1"],
    "benchmark": ["--epochs", "1", "--repeats", "1", "--num-draws", "2"],
}
SLOW = {"benchmark"}


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXPERIMENTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_experiment_is_listed():
    assert {path.stem for path in EXPERIMENTS.glob("*.py")} == set(RUNS)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in RUNS]
)
def test_runs_and_leaves_its_result(name, tmp_path, capsys):
    out = tmp_path / ("out.md" if name == "benchmark" else "out.png")
    load(name).main([*RUNS[name], "--out", str(out)])
    assert out.stat().st_size > 500
    assert capsys.readouterr().out


def test_cubic_says_what_it_should(tmp_path, capsys):
    load("cubic").main(["--num-data", "200", "--epochs", "2", "--out", str(tmp_path / "p.png")])
    text = capsys.readouterr().out
    for part in ("38,130", "321", "epistemic sd", "steps a second", "p.png"):
        assert part in text
