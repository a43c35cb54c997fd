"""How good is the default `VariationalRegressor` on tables? Compared with the usual alternatives, on the UCI splits.

python experiments/tables.py FOLDER

A run that was stopped goes on where it was: each result is a line of a file, by set, split and model.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import argparse
import importlib.util
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich import print
from scipy.stats import norm
from scoringrules import crps_normal
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.linear_model import BayesianRidge, LinearRegression
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import varbump as vb

PLOTS = Path(__file__).resolve().parent.parent / "plots"
LEVELS = (0.9, 0.95)
MAX_GP_ROWS = 2000
"""Rows of the Gaussian process, a random sample of larger tables: it factorises an N x N matrix at each step."""


class Split(NamedTuple):
    """Training and test rows."""

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


Result = dict[str, Any]
"""rmse and crps (units of y), log_likelihood (nats per row), coverage_90 and coverage_95, seconds of fit."""


HEADING = (
    "Mean over splits of each set, one default for all. RMSE, CRPS and log-likelihood (nats per row) in the units of "
    "y; coverage of 90 and 95 % intervals, in %; seconds of wall time of one fit (python experiments/tables.py)."
)


def main(arguments: list[str] | None = None) -> None:
    """Run all models on all sets and write the table."""
    options = parse(arguments)
    known = models(options)
    lines = options.out.with_suffix(".jsonl")
    done = [json.loads(line) for line in lines.read_text().splitlines()] if lines.exists() else []
    finished = {(result["set"], result["split"], result["model"]) for result in done}
    lines.parent.mkdir(parents=True, exist_ok=True)
    sets = sorted(path.parents[1].name for path in options.folder.glob("*/data/index_train_0.txt"))
    for name in options.sets or sets:
        for k in range(min(num_splits(options.folder / name), options.splits or np.inf)):
            missing = [model for model in options.models or known if (name, k, model) not in finished]
            split = load(options.folder / name, k) if missing else None
            for model in missing:
                result = {"set": name, "split": k, "model": model, **sizes(split), **known[model](split, k)}
                done.append(result)
                with lines.open("a") as file:
                    file.write(json.dumps(result) + "\n")
                options.out.write_text("\n".join([HEADING, *tables(done), ""]))
    options.out.write_text("\n".join([HEADING, *tables(done), ""]))
    print("\n".join(tables(done)))
    print(f"\nTable: {options.out}")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Command-line options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="holds NAME/data/data.txt and its index files")
    parser.add_argument("--sets", nargs="+", metavar="NAME", help="folders in it (default: all)")
    parser.add_argument("--models", nargs="+", metavar="NAME", help="models (default: all)")
    parser.add_argument("--splits", type=int, help="number of splits of each set (default: all)")
    parser.add_argument("--max-iter", type=int, help="epochs of our model (default: its own choice)")
    parser.add_argument("--out", type=Path, default=PLOTS / "tables.md", help="default plots/tables.md")
    return parser.parse_args(arguments)


def num_splits(folder: Path) -> int:
    """Number of splits of a set."""
    return len(list((folder / "data").glob("index_train_*.txt")))


def load(folder: Path, k: int) -> Split:
    """Read split k of a set, in the layout of Hernandez-Lobato and Adams (2015)."""
    read = {name: np.loadtxt(folder / "data" / f"{name}.txt", ndmin=1) for name in ("index_features", "index_target")}
    data = np.loadtxt(folder / "data" / "data.txt", ndmin=2)
    features, target = (read[name].astype(int) for name in ("index_features", "index_target"))
    train, test = (np.loadtxt(folder / "data" / f"index_{part}_{k}.txt").astype(int) for part in ("train", "test"))
    return Split(data[train][:, features], data[train][:, target[0]], data[test][:, features], data[test][:, target[0]])


def sizes(split: Split) -> Result:
    """Rows and features of a set."""
    return {"rows": len(split.x) + len(split.x_test), "features": split.x.shape[1]}


def models(options: argparse.Namespace) -> dict[str, Callable[[Split, int], Result]]:
    """Return the function that scores each model on a split, for a seed; NGBoost only if it is installed."""
    known: dict[str, Callable[[Split, int], Result]] = {
        "VariationalRegressor": lambda split, seed: ours(
            split, vb.VariationalRegressor(max_iter=options.max_iter, random_state=seed)
        ),
        "LinearRegression": lambda split, seed: of_residuals(split, LinearRegression(), seed),
        "BayesianRidge": lambda split, seed: normal(split, make_pipeline(StandardScaler(), BayesianRidge())),
        "GaussianProcessRegressor": gaussian_process,
        "RandomForestRegressor": lambda split, seed: of_residuals(
            split, RandomForestRegressor(200, oob_score=True, random_state=seed, n_jobs=-1), seed
        ),
        "HistGradientBoostingRegressor": lambda split, seed: of_residuals(
            split, HistGradientBoostingRegressor(random_state=seed), seed
        ),
    }
    if importlib.util.find_spec("ngboost"):
        known["NGBRegressor"] = ngboost
    return known


def ours(split: Split, model: vb.VariationalRegressor) -> Result:
    """Score a mixture over draws of the weights."""
    seconds = timed(model, split)
    scores = vb.evaluate(model, split.x_test, split.y_test, levels=LEVELS)
    inside = dict(zip(("coverage_90", "coverage_95"), map(float, scores.coverage.values()), strict=True))
    exact = {"rmse": scores.rmse, "log_likelihood": scores.log_likelihood, "crps": scores.crps}
    return {**{name: float(value) for name, value in exact.items()}, **inside, "seconds": seconds}


def gaussian_process(split: Split, seed: int) -> Result:
    """Squared exponential with a length for each feature, plus a WhiteKernel, so that std includes the noise."""
    kernel = ConstantKernel(1.0, (1e-2, 1e4)) * RBF(np.full(split.x.shape[1], 3.0), (1e-1, 1e4)) + WhiteKernel(
        0.1, (1e-6, 1e1)
    )
    model = make_pipeline(StandardScaler(), GaussianProcessRegressor(kernel, normalize_y=True, random_state=seed))
    rows = np.random.default_rng(seed).permutation(len(split.x))[:MAX_GP_ROWS]
    return normal(split._replace(x=split.x[rows], y=split.y[rows]), model)


def normal(split: Split, model: Any) -> Result:
    """Score a model that predicts mean and total sd of each row."""
    seconds = timed(model, split)
    return judged_normal(split, *model.predict(split.x_test, return_std=True), seconds)


def ngboost(split: Split, seed: int) -> Result:
    """Score natural gradient boosting of mean and sd (Duan et al. 2020), with its own defaults."""
    from ngboost import NGBRegressor

    model = NGBRegressor(random_state=seed, verbose=False)
    seconds = timed(model, split)
    predicted = model.pred_dist(split.x_test).params
    return judged_normal(split, predicted["loc"], predicted["scale"], seconds)


def of_residuals(split: Split, model: Any, seed: int) -> Result:
    """Score a model that predicts only the mean, as a normal with the sd of its out-of-bag or cross-validated errors.

    The time is that of the model alone.
    """
    seconds = timed(model, split)
    predicted = getattr(model, "oob_prediction_", None)
    if predicted is None:
        predicted = cross_val_predict(model, split.x, split.y, cv=KFold(5, shuffle=True, random_state=seed))
    sd = np.sqrt(np.mean((split.y - predicted) ** 2))
    return judged_normal(split, model.predict(split.x_test), sd, seconds)


def judged_normal(split: Split, mean: np.ndarray, sd: np.ndarray | float, seconds: float) -> Result:
    """Score normal predictive distributions."""
    distance = np.abs(split.y_test - mean) / sd
    return {
        "rmse": float(np.sqrt(np.mean((split.y_test - mean) ** 2))),
        "log_likelihood": float(norm.logpdf(split.y_test, mean, sd).mean()),
        "crps": float(np.mean(crps_normal(split.y_test, mean, sd))),
        **{f"coverage_{100 * level:.0f}": float(np.mean(distance <= norm.ppf(0.5 + level / 2))) for level in LEVELS},
        "seconds": seconds,
    }


def timed(model: Any, split: Split) -> float:
    """Fit, and return the time; warnings about length scales at their bounds are ignored."""
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(split.x, split.y)
    return time.perf_counter() - began


def tables(results: list[Result]) -> list[str]:
    """Lines of a table for each set."""
    lines = []
    for name in dict.fromkeys(result["set"] for result in results):
        of_set = [result for result in results if result["set"] == name]
        splits = len({result["split"] for result in of_set})
        lines += [
            "",
            f"{name}: {of_set[0]['rows']:,} rows, {of_set[0]['features']} features, {splits} splits",
            "",
            "| model | RMSE | log-likelihood | CRPS | 90 % | 95 % | seconds |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
        for model in dict.fromkeys(result["model"] for result in of_set):
            fits = [result for result in of_set if result["model"] == model]
            mean = {key: np.mean([fit[key] for fit in fits]) for key in fits[0] if key not in ("set", "model")}
            lines.append(
                f"| {model} | {mean['rmse']:.4g} | {mean['log_likelihood']:.3f} | {mean['crps']:.4g} | "
                f"{100 * mean['coverage_90']:.1f} | {100 * mean['coverage_95']:.1f} | {mean['seconds']:.2g} |"
            )
    return lines


if __name__ == "__main__":
    main()
