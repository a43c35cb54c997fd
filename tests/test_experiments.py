"""Each script runs with a tiny budget and leaves its picture."""

import importlib.util
from pathlib import Path

import pytest

EXPERIMENTS = Path(__file__).resolve().parent.parent / "experiments"

RUNS = {
    "bump": ["--frames", "3"],
    "bump_sigma": ["--num-data", "1000", "--epochs", "1"],
    "cubic": ["--num-data", "200", "--epochs", "2"],
    "nan_loss": ["--num-data", "64", "--epochs", "1"],
    "noise": ["--num-data", "64", "--num-fresh", "50", "--epochs", "1", "--repeats", "1"],
    "benchmark": ["--epochs", "1", "--repeats", "1", "--num-draws", "2"],
    "truth": ["--only", "two clusters", "--families", "mean field", "4 joints", "--jobs", "1", "--epochs", "2"]
    + ["--num-draws", "4", "--num-warmup", "10"],
}
SLOW = {"benchmark", "truth"}
SAYS = {
    "benchmark": ["varbump.fit", "[model(x) for _ in range(100)]", "tf.nn.gelu"],
    "bump": ["bump_sigma.gif"],
    "bump_sigma": ["[-1, 1]", "[-5, 5]", "[-20, 20]", "threshold", "with inner where", "nan"],
    "cubic": ["38,130", "321", "epistemic sd", "steps a second", "out.png"],
    "noise": ["heteroscedastic", "beta-NLL", "faithful", "Student t", "the truth", "Table: ", "out.png"],
    "truth": ["mean field", "4 joints", "two clusters: R-hat of f", "Lambda_ii^(-1/2)", "Table: ", "out.png"],
    "nan_loss": ["38,589", "38,130", "scale floor", "out.png"],
}


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
    text = " ".join(capsys.readouterr().out.split())
    for part in SAYS[name]:
        assert part in text


def test_cubic_says_what_a_bump_network_does_far_away(tmp_path, capsys):
    out = str(tmp_path / "p.png")
    load("cubic").main(["--num-data", "200", "--epochs", "2", "--activation", "gaussian_bump", "--out", out])
    text = " ".join(capsys.readouterr().out.split())
    assert "the last bias where there is one hidden layer" in text
    assert "To have it grow" in text
