"""How good is the default `VariationalRegressor` on tables? Compared with scikit-learn, on the usual UCI splits.

python experiments/tables.py FOLDER
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich import print
from scipy.stats import norm
from sklearn.ensemble import RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.linear_model import BayesianRidge, LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import varbump as vb

PLOTS = Path(__file__).resolve().parent.parent / "plots"
SETS = ("bostonHousing", "concrete", "energy", "wine-quality-red", "yacht")
COVERAGE = 0.95
MAX_GP_ROWS = 2000
"""Limit for the Gaussian process, which factorises an N x N matrix at each step of its optimiser."""


class Split(NamedTuple):
    """Training and test rows."""

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


class Result(NamedTuple):
    """Scores of one model on one split."""

    rmse: float  # units of y
    log_likelihood: float  # nats per row, units of y
    coverage: float  # of 95 % intervals, fraction
    seconds: float  # of fit


def main(arguments: list[str] | None = None) -> None:
    """Run all models on all sets and write the table."""
    options = parse(arguments)
    lines = [
        f"Mean over the first {options.splits} splits of each set, one default for all. RMSE and log-likelihood "
        "(nats per row) in the units of y; coverage of 95 % intervals, in %; seconds of wall time of one fit "
        "(python experiments/tables.py).",
    ]
    for name in options.sets or [name for name in SETS if (options.folder / name).is_dir()]:
        splits = [load(options.folder / name, k) for k in range(options.splits)]
        results: dict[str, list[Result]] = {}
        for k, split in enumerate(splits):
            for model, judge in models(options, k, len(split.x)).items():
                results.setdefault(model, []).append(judge(split))
        text = table(name, splits[0], results)
        print("\n".join(text))
        lines += ["", *text]
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text("\n".join([*lines, ""]))  # after each set: a run over large ones takes hours
    print(f"Table: {options.out}")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Command-line options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="holds NAME/data/data.txt and its index files")
    parser.add_argument("--sets", nargs="+", metavar="NAME", help=f"folders in it (default {' '.join(SETS)})")
    parser.add_argument("--splits", type=int, default=5, help="number of splits of each set (default %(default)s)")
    parser.add_argument("--max-iter", type=int, help="epochs of our model (default: its own choice)")
    parser.add_argument("--out", type=Path, default=PLOTS / "tables.md", help="default plots/tables.md")
    return parser.parse_args(arguments)


def load(folder: Path, k: int) -> Split:
    """Read split k of a set, in the layout of Hernandez-Lobato and Adams (2015)."""
    read = {name: np.loadtxt(folder / "data" / f"{name}.txt", ndmin=1) for name in ("index_features", "index_target")}
    data = np.loadtxt(folder / "data" / "data.txt", ndmin=2)
    features, target = (read[name].astype(int) for name in ("index_features", "index_target"))
    train, test = (np.loadtxt(folder / "data" / f"index_{part}_{k}.txt").astype(int) for part in ("train", "test"))
    return Split(data[train][:, features], data[train][:, target[0]], data[test][:, features], data[test][:, target[0]])


def models(options: argparse.Namespace, seed: int, num_rows: int) -> dict[str, Callable[[Split], Result]]:
    """Return the function that scores each model on a split."""
    judged: dict[str, Callable[[Split], Result]] = {
        "VariationalRegressor": lambda split: ours(
            split, vb.VariationalRegressor(max_iter=options.max_iter, random_state=seed)
        ),
        "LinearRegression": lambda split: of_residuals(split, LinearRegression()),
        "BayesianRidge": lambda split: normal(split, make_pipeline(StandardScaler(), BayesianRidge())),
    }
    if num_rows <= MAX_GP_ROWS:
        judged["GaussianProcessRegressor"] = lambda split: normal(split, gaussian_process(split.x.shape[1], seed))
    judged["RandomForestRegressor"] = lambda split: of_residuals(
        split, RandomForestRegressor(200, oob_score=True, random_state=seed)
    )
    return judged


def gaussian_process(num_features: int, seed: int):
    """Squared exponential with a length for each feature, plus a WhiteKernel, so that std includes the noise."""
    kernel = ConstantKernel(1.0, (1e-2, 1e4)) * RBF(np.full(num_features, 3.0), (1e-1, 1e4)) + WhiteKernel(
        0.1, (1e-6, 1e1)
    )
    return make_pipeline(StandardScaler(), GaussianProcessRegressor(kernel, normalize_y=True, random_state=seed))


def ours(split: Split, model: vb.VariationalRegressor) -> Result:
    """Score a mixture over draws of the weights."""
    seconds = timed(model, split)
    low, high = model.predict_interval(split.x_test, coverage=COVERAGE).T
    density = model.log_predictive_density(split.x_test, split.y_test)
    inside = (split.y_test >= low) & (split.y_test <= high)
    return Result(rmse(split, model.predict(split.x_test)), float(density.mean()), float(inside.mean()), seconds)


def normal(split: Split, model) -> Result:
    """Score a model that predicts mean and total sd of each row."""
    seconds = timed(model, split)
    return judged_normal(split, *model.predict(split.x_test, return_std=True), seconds)


def of_residuals(split: Split, model) -> Result:
    """Score a model that predicts only the mean, as a normal with the sd of its training (or out-of-bag) errors."""
    seconds = timed(model, split)
    fitted = model.oob_prediction_ if hasattr(model, "oob_prediction_") else model.predict(split.x)
    freedom = len(split.x) - (0 if hasattr(model, "oob_prediction_") else split.x.shape[1] + 1)
    sd = np.sqrt(np.sum((split.y - fitted) ** 2) / max(freedom, 1))
    return judged_normal(split, model.predict(split.x_test), sd, seconds)


def judged_normal(split: Split, mean: np.ndarray, sd: np.ndarray | float, seconds: float) -> Result:
    """Score normal predictive distributions."""
    inside = np.abs(split.y_test - mean) <= norm.ppf(0.5 + COVERAGE / 2) * sd
    density = norm.logpdf(split.y_test, mean, sd)
    return Result(rmse(split, mean), float(density.mean()), float(inside.mean()), seconds)


def timed(model, split: Split) -> float:
    """Fit, and return the time; warnings about length scales at their bounds are ignored."""
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(split.x, split.y)
    return time.perf_counter() - began


def rmse(split: Split, mean: np.ndarray) -> float:
    """Root mean square error on the held-out rows."""
    return float(np.sqrt(np.mean((split.y_test - mean) ** 2)))


def table(name: str, split: Split, results: dict[str, list[Result]]) -> list[str]:
    """Lines of the table of one set."""
    lines = [
        f"{name}: {len(split.x) + len(split.x_test):,} rows, {split.x.shape[1]} features",
        "",
        "| model | RMSE | log-likelihood | coverage, % | seconds |",
        "| --- | --- | --- | --- | --- |",
    ]
    for model, fits in results.items():
        error, likelihood, coverage, seconds = np.mean(fits, axis=0)
        lines.append(f"| {model} | {error:.4g} | {likelihood:.3f} | {100 * coverage:.1f} | {seconds:.2g} |")
    return lines


if __name__ == "__main__":
    main()
