"""The wheel on each supported Python and TensorFlow, with both kinds of Keras: `python tests/matrix.py`.

For each pair, a fresh virtual environment: the wheel and this TensorFlow are installed by pip, and a short program
imports, fits, predicts, saves, loads and runs the command line, under Keras 2 and again under Keras 3. What happened
goes into a table, `docs/matrix.md`, whose rows for other pairs stay. Needs nothing but Python; interpreters are those
given by `--python`, those on the path, and those of pyenv.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "matrix.md"
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
TENSORFLOWS = ("2.18", "2.19", "2.20", "2.21")
PACKAGES = ("tensorflow", "tf_keras", "keras", "tensorflow-probability", "numpy", "scikit-learn", "pyarrow")
COLUMNS = ("Python", "TensorFlow", "tf_keras", "Keras 3", "NumPy", "under Keras 2", "under Keras 3", "tests", "day")

SMOKE = """
import csv, os, subprocess, sys
import numpy as np
import varbump as vb

x, y = vb.datasets.cubic(200, seed=0)
likelihood = vb.likelihoods.LearnedNormal()
network = vb.build_network(1, hidden_units=(8,), seed=0)
history = vb.fit(network, likelihood, x, y, epochs=20, seed=0, verbose=0)
assert np.isfinite(history.history["loss"]).all()
assert history.history["loss"][-1] < history.history["loss"][0]
bands = vb.predict_bands(network, x, likelihood=likelihood, num_draws=50, seed=0)
assert np.isfinite(bands.mean).all()
vb.save(network, "network.varbump", likelihood=likelihood)
loaded = vb.load("network.varbump")
same = vb.predict_bands(loaded.network, x, likelihood=loaded.likelihood, num_draws=50, seed=0)
assert np.array_equal(bands.mean, same.mean)

small = {"likelihood": "normal", "embedding": None, "max_iter": 3, "n_members": 2}
model = vb.VariationalRegressor((8,), **small, random_state=0).fit(x, y[:, 0])
lower, upper = model.predict_interval(x, coverage=0.9).T
assert (lower < upper).all()
vb.save(model, "model.varbump")
assert np.array_equal(vb.load("model.varbump").predict(x), model.predict(x))

with open("rows.csv", "w", newline="") as file:
    csv.writer(file).writerows([("x", "y"), *zip(x[:, 0], y[:, 0])])
command = [os.path.join(os.path.dirname(sys.executable), "varbump")]
few = ["--max-iter", "3", "--members", "2", "--hidden", "8", "--likelihood", "normal", "--embedding", "none", "--force"]
subprocess.run([*command, "fit", "rows.csv", "--target", "y", "--out", "run", "--quiet", *few], check=True)
subprocess.run([*command, "predict", "run", "rows.csv", "--out", "predictions.csv", "--force"], check=True)
with open("predictions.csv") as file:
    assert len(file.readlines()) == 201
"""
"""What is run in each environment, under each Keras: seconds once TensorFlow is loaded."""

VERSIONS = f"""
import importlib.metadata, json
print(json.dumps({{name: importlib.metadata.version(name) for name in {PACKAGES}}}))
"""


def version_of(python: str) -> str | None:
    """Version of an interpreter, such as 3.11.7; None if it does not run."""
    try:
        done = subprocess.run(
            [python, "-c", "import platform; print(platform.python_version())"],
            capture_output=True,
            text=True,
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def interpreters(given: list[str]) -> dict[str, str]:
    """Command of an interpreter for each supported minor version that there is: those given come first."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [*given, *(f"python{minor}" for minor in PYTHONS)]
    candidates += [str(path) for path in sorted(root.glob("versions/*/bin/python"))]
    found: dict[str, str] = {}
    for candidate in candidates:
        version = version_of(candidate)
        minor = ".".join(version.split(".")[:2]) if version else ""
        if minor in PYTHONS:
            found.setdefault(minor, candidate)
    return {minor: found[minor] for minor in PYTHONS if minor in found}


def reason(stderr: str) -> str:
    """The line of an error that says most, without addresses and paths."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"(ERROR|FAILED|\w*(Error|Exception)\b)", line)]
    line = (errors or lines or ["it ended without a word"])[-1]
    line = re.sub(r"\w+://\S+", "(address)", line.removeprefix("ERROR: "))
    line = re.sub(r"(?<![\w.])/[\w.+-]+(/[\w.+-]+)+", lambda path: path[0].rsplit("/", 1)[-1], line)
    return line.replace("|", "/")[:160]


def run(command: list[str], folder: Path, **environment: str) -> str | None:
    """None if a command succeeds, else why it does not."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VARBUMP_KERAS")}
    kept |= {"TF_CPP_MIN_LOG_LEVEL": "3", "MPLBACKEND": "agg", **environment}
    try:
        done = subprocess.run(command, cwd=folder, env=kept, capture_output=True, text=True, timeout=7200)
    except subprocess.TimeoutExpired:
        return "not done in two hours"
    (folder / "last.log").write_text(done.stdout + done.stderr)
    return None if done.returncode == 0 else reason(done.stderr or done.stdout)


def try_pair(python: str, tensorflow: str, wheel: Path, folder: Path, suite: list[str] | None) -> dict[str, str]:
    """Row of the table for one interpreter and one minor version of TensorFlow."""
    row = dict.fromkeys(COLUMNS, "") | {"Python": version_of(python) or "?", "TensorFlow": tensorflow}
    row["day"] = datetime.date.today().isoformat()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    binaries = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    environment_python = str(binaries / "python")
    extras = "cli" if suite is None else "test"
    wanted = [f"varbump[{extras}] @ {wheel.as_uri()}", f"tensorflow=={tensorflow}.*", f"tf_keras=={tensorflow}.*"]
    failed = run([python, "-m", "venv", "venv"], folder)
    failed = failed or run([environment_python, "-m", "pip", "install", "--quiet", "--no-compile", *wanted], folder)
    if failed:
        row["under Keras 2"] = f"not installed: {failed}"
        return row
    versions = json.loads(subprocess.run([environment_python, "-c", VERSIONS], capture_output=True, text=True).stdout)
    row |= {"TensorFlow": versions["tensorflow"], "tf_keras": versions["tf_keras"], "Keras 3": versions["keras"]}
    row["NumPy"] = versions["numpy"]
    (folder / "smoke.py").write_text(SMOKE)
    faces: dict[str, dict[str, str]] = {"under Keras 2": {}, "under Keras 3": {"VARBUMP_KERAS": "3"}}
    for column, environment in faces.items():
        failed = run([environment_python, "smoke.py"], folder, **environment)
        row[column] = f"failed: {failed}" if failed else "passed"
    if suite is not None:  # pytest as a command does not put the checkout before what is installed
        paths = [str(ROOT / path) for path in suite or ["tests"]]
        options = [
            "-q",
            "-n",
            "2",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            str(ROOT),
            "-c",
            str(ROOT / "pyproject.toml"),
        ]
        failed = run([str(binaries / "pytest"), *options, *paths], folder)
        row["tests"] = f"failed: {failed}" if failed else "passed" if not suite else "passed: " + ", ".join(suite)
    return row


def key(row: dict[str, str]) -> tuple[tuple[int, ...], ...]:
    """Minor versions of Python and TensorFlow, as numbers."""
    return tuple(tuple(map(int, row[name].split(".")[:2])) for name in ("Python", "TensorFlow"))


def read(text: str) -> list[dict[str, str]]:
    """Rows of the table in a page."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    return [dict(zip(COLUMNS, cells, strict=True)) for cells in rows[2:] if len(cells) == len(COLUMNS)]


def page(rows: list[dict[str, str]]) -> str:
    """The page: the table, and what it means."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    lines += ["| " + " | ".join(row[name] for name in COLUMNS) + " |" for row in sorted(rows, key=key)]
    return HEAD + "\n".join(lines) + "\n"


HEAD = """# Supported versions

Written by `python tests/matrix.py`, which takes each interpreter that it finds and each TensorFlow, installs the wheel
into a fresh environment, and there imports, fits, predicts, saves, loads and runs the command line, under Keras 2 and
under Keras 3. With `--suite`, the tests run too. A pair without a row has not been tried.

"""


def main() -> None:
    """Run the pairs asked for, and write the page after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--python", action="append", default=[], metavar="COMMAND", help="an interpreter to look at first"
    )
    parser.add_argument(
        "--only-python", nargs="+", default=PYTHONS, choices=PYTHONS, metavar="3.x", help="minor versions"
    )
    parser.add_argument("--tensorflow", nargs="+", default=TENSORFLOWS, metavar="2.x", help="minor versions")
    parser.add_argument("--suite", nargs="*", metavar="PATH", help="run these tests too, or all of them, on the wheel")
    parser.add_argument("--work", type=Path, help="folder for the environments, each deleted when done")
    parser.add_argument("--out", type=Path, default=PAGE, help="the page to write")
    options = parser.parse_args()
    work = (options.work or Path(tempfile.mkdtemp(prefix="matrix"))).resolve()
    work.mkdir(parents=True, exist_ok=True)
    found = interpreters(options.python)
    failed = run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(work), str(ROOT)], work)
    if failed:
        sys.exit(f"the wheel cannot be built: {failed}")
    wheel = max(work.glob("varbump-*.whl"), key=lambda path: path.stat().st_mtime)
    rows = read(options.out.read_text(encoding="utf-8")) if options.out.exists() else []
    for minor in options.only_python:
        if minor not in found:
            print(f"no Python {minor} here", flush=True)
            continue
        for tensorflow in options.tensorflow:
            folder = work / f"{minor}-{tensorflow}"
            row = try_pair(found[minor], tensorflow, wheel, folder, options.suite)
            shutil.rmtree(folder, ignore_errors=True)
            print(" | ".join(row.values()), flush=True)
            rows = [old for old in rows if key(old) != key(row)] + [row]
            options.out.write_text(page(rows), encoding="utf-8")
    shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
