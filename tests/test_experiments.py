"""Each script runs with a tiny budget and leaves its picture."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from other_keras import SCRIPTS, only_keras2

EXPERIMENTS = Path(__file__).resolve().parent.parent / "experiments"

RUNS = {
    "bump": ["--frames", "3"],
    "bump_sigma": ["--num-data", "1000", "--epochs", "1"],
    "calibration": ["--num-data", "200", "--num-fresh", "60", "--epochs", "1"],
    "convergence": ["--only", "cubic, tanh", "--families", "mean field", "--epochs", "2", "--num-draws", "20"],
    "cubic": ["--num-data", "200", "--epochs", "2"],
    "diagnose": ["--num-data", "100", "--epochs", "2"],
    "laplace": ["--epochs", "2", "--networks", "1", "--num-draws", "4", "--num-warmup", "10"],
    "nan_loss": ["--num-data", "64", "--epochs", "1"],
    "noise": ["--num-data", "64", "--num-fresh", "50", "--epochs", "1", "--repeats", "1"],
    "benchmark": ["--epochs", "1", "--repeats", "1", "--num-draws", "2", "--num-sampled", "8"],
    "features": ["--num-data", "60", "--epochs", "2"],
    "gradient_variance": ["--epochs", "1", "--batches", "2", "--repeats", "3", "--draws", "1"]
    + ["--families", "MeanFieldNormal"],
    "kl_warmup": ["--steps", "4", "--repeats", "1", "--num-draws", "2", "--warmups", "0", "--sets", "cubic-200"],
    "scaling": ["--only", "N, memory", "N, source", "--values", "1", "--largest", "100000"],
    "tables": ["{folder}", "--sets", "made", "--splits", "1", "--max-iter", "20"],
    "truth": ["--only", "two clusters", "--families", "mean field", "4 joints", "--jobs", "1", "--epochs", "2"]
    + ["--num-draws", "4", "--num-warmup", "10"],
    "workers": ["--rows", "2000", "--epochs", "1", "--every", "16"],
}
SLOW = {
    "benchmark",
    "bump_sigma",
    "calibration",
    "convergence",
    "diagnose",
    "features",
    "gradient_variance",
    "kl_warmup",
    "laplace",
    "nan_loss",
    "noise",
    "scaling",
    "tables",
    "truth",
    "workers",
}
TABLES = {"benchmark", "convergence", "gradient_variance", "kl_warmup", "tables", "workers"}
"""Those that leave a table and no picture."""
SAYS = {
    "benchmark": ["varbump.fit", "[model(x) for _ in range(100)]", "tf.nn.gelu"],
    "bump": ["bump_sigma.gif"],
    "bump_sigma": ["[-1, 1]", "[-5, 5]", "[-20, 20]", "threshold", "with inner where", "nan"],
    "calibration": ["noise learned along x", "noise scale fixed at 0.12", "Recalibrated on 60 other points", "out.png"],
    "convergence": ["cubic, tanh | mean field | default", "twice the steps: lower by", "Adam alone", "Table: "],
    "cubic": ["38,130", "321", "epistemic sd", "steps a second", "out.png"],
    "gradient_variance": ["MeanFieldNormal, 642", "| shared | 1 |", "| local | 1 |", "| flipout | 1 |", "Table: "],
    "features": ["Relevance of the inputs", "out.png"],
    "laplace": ["linearised, all weights", "last layer", "mean of q", "Newton step", "Table: ", "out.png"],
    "kl_warmup": ["No tables: --data is None", "| cubic-200 | N(0, 1) |", "Held-out RMSE", "Table: "],
    "noise": ["heteroscedastic", "beta-NLL", "faithful", "Student t", "the truth", "Table: ", "out.png"],
    "truth": ["mean field", "4 joints", "two clusters: R-hat of f", "Lambda_ii^(-1/2)", "Table: ", "out.png"],
    "tables": ["made: 60 rows, 2 features", "Variational", "BayesianRidge", "Gaussian", "Forest", "Boosting", "out.md"],
    "diagnose": ["behind a condition", "Unsafe tf.where", "Dead relu", "Dead bump", "at the prior", "weights.png"],
    "scaling": ["| N, memory | 1,000 |", "| N, source | 100,000 |", "Table: ", "out.png"],
    "workers": ["2 processes without a strategy", "2 workers", "Checksums of the workers: all", "out.md"],
    "nan_loss": ["38,589", "38,130", "scale floor", "out.png"],
}


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXPERIMENTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def made_set(folder):
    """A set in the layout of the UCI folder: data, index files, splits."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(60, 2))
    y = x[:, :1] ** 2 + 0.1 * generator.normal(size=(60, 1))
    (folder / "made" / "data").mkdir(parents=True)
    order = generator.permutation(60)
    files = {"data": np.hstack([x, y]), "index_features": [0, 1], "index_target": [2]}
    files |= {"index_train_0": order[:50], "index_test_0": order[50:]}
    for name, values in files.items():
        np.savetxt(folder / "made" / "data" / f"{name}.txt", values)
    return folder


def test_every_experiment_is_listed():
    assert {path.stem for path in EXPERIMENTS.glob("*.py")} == set(RUNS)


def marks(name):
    found = [pytest.mark.slow] if name in SLOW else []
    return [*found, only_keras2(SCRIPTS)] if "import tf_keras" in (EXPERIMENTS / f"{name}.py").read_text() else found


@pytest.mark.filterwarnings("ignore:the fit is worse than a constant")  # with budgets as tiny as these
@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(name)) for name in RUNS])
def test_runs_and_leaves_its_result(name, tmp_path, capsys):
    out = tmp_path / ("out.md" if name in TABLES else "out.png")
    folder = str(made_set(tmp_path / "sets")) if name == "tables" else ""
    load(name).main([*(option.format(folder=folder) for option in RUNS[name]), "--out", str(out)])
    assert out.stat().st_size > 500
    text = " ".join(capsys.readouterr().out.split())
    for part in SAYS[name]:
        assert part in text


@pytest.mark.slow
def test_cubic_says_what_a_bump_network_does_far_away(tmp_path, capsys):
    out = str(tmp_path / "p.png")
    load("cubic").main(["--num-data", "200", "--epochs", "2", "--activation", "gaussian_bump", "--out", out])
    text = " ".join(capsys.readouterr().out.split())
    assert "the last bias where there is one hidden layer" in text
    assert "To have it grow" in text


@pytest.mark.slow
def test_cubic_beside_the_exact_posterior(tmp_path, capsys):
    out = tmp_path / "p.png"
    tiny = ["--num-data", "40", "--epochs", "2", "--exact", "--num-draws", "8", "--out", str(out)]
    load("cubic").main(tiny)
    text = " ".join(capsys.readouterr().out.split())
    assert "Draws from the posterior by annealed HMC" in text
    assert "Among the data the mean is off by" in text
    assert out.stat().st_size > 500


@pytest.mark.slow
def test_kl_warmup_reads_tables_and_standardises_them_by_the_training_rows(tmp_path, capsys):
    folder = tmp_path / "tiny" / "data"
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    table = np.column_stack([generator.normal(3.0, 2.0, (30, 2)), np.full(30, 7.0), generator.normal(50.0, 9.0, 30)])
    np.savetxt(folder / "data.txt", table)
    rows = generator.permutation(30)
    files = {"features": [0, 1, 2], "target": [3], "train_0": rows[:25], "test_0": rows[25:]}
    for name, values in files.items():
        np.savetxt(folder / f"index_{name}.txt", values, fmt="%d")
    script = load("kl_warmup")
    split = script.standardised(folder, 0)
    np.testing.assert_allclose(np.mean(split.x, 0), 0.0, atol=1e-5)
    np.testing.assert_allclose(np.std(split.x, 0), [1.0, 1.0, 0.0], atol=1e-5)
    np.testing.assert_allclose(split.y_test[:, 0] * split.unit + table[rows[:25], 3].mean(), table[rows[25:], 3], 1e-5)
    options = ["--steps", "2", "--repeats", "1", "--num-draws", "2", "--warmups", "0.5", "--sets", "tiny"]
    script.main([*options, "--data", str(tmp_path), "--out", str(tmp_path / "out.md")])
    assert "| tiny | ARDNormal |" in capsys.readouterr().out
