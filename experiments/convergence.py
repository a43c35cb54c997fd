"""Does a fit without options end where it should? -ELBO / N over time, at the end, and after twice the steps.

Each family is fitted twice to each data set: as `varbump.fit` does it by itself, and with first-order steps alone
(Adam at its default rate). Then twice the steps: the default fit goes on for as many steps as it has taken, in which
the rate falls to 0 again. All values at the end are estimates from the same number of fresh draws.
Tables are in a folder with the layout of Hernandez-Lobato and Adams (2015): NAME/data/data.txt, index_features.txt,
index_target.txt; a fit takes all rows, standardised.

python experiments/convergence.py --data FOLDER
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import argparse
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import varbump as vb

PLOTS = Path(__file__).resolve().parent.parent / "plots"
MOMENTS = (1.0, 3.0, 10.0, 30.0)
NETWORKS = ("cubic", "cubic, tanh", "wiggly", "two clusters", "fan")
REGRESSIONS = {"line, noise 0.3 %": 0.003, "line, noise 10 %": 0.1, "line, noise 90 %": 0.9}
TABLES = ("bostonHousing", "energy", "yacht")
FAMILIES = {
    "mean field": vb.posteriors.MeanFieldNormal(),
    "low rank": vb.posteriors.LowRankNormal(),
    "full, by layer": vb.posteriors.FullCovarianceNormal(),
    "joint": vb.posteriors.JointNormal(),
}


class Problem(NamedTuple):
    """Data, and the network that they are fitted with."""

    x: np.ndarray
    y: np.ndarray
    make_likelihood: Any
    architecture: dict[str, Any]


class Outcome(NamedTuple):
    """One fit."""

    over_time: list[float]  # -ELBO / N, nats, at MOMENTS from the call on; nan before the first epoch or after the end
    loss: float
    seconds: float  # with compilation
    history: vb.History


def main(arguments: list[str] | None = None) -> None:
    """Fit every family to every data set; write a table."""
    options = parse(arguments)
    lines = [
        "python experiments/convergence.py" + (" --data FOLDER" if options.data else "") + f" --seed {options.seed}",
        "",
        "-ELBO / N in nats per observation. Over time: mean of the last twentieth of the run up to that second of the "
        "call, with compilation; empty before the first epoch, which comes after the natural-gradient start of "
        "families with covariances, and after the end.",
        "",
        "| data | posterior | fit | "
        + " | ".join(f"{m:g} s" for m in MOMENTS)
        + " | end | seconds | steps | settled |",
        "| " + " | ".join(["---"] * (7 + len(MOMENTS))) + " |",
    ]
    for name in options.only:
        data = problem(options, name)
        if data is None:
            print(f"{name} is left out: there is no such table in --data {options.data}")
            continue
        for family in options.families:
            for row in rows(options, data, family):
                cells = [name, family, *row]
                lines.append("| " + " | ".join(cells) + " |")
                print(" | ".join(cells), flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text("\n".join([*lines, ""]))
    print(f"Table: {options.out}")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Command-line options."""
    names = (*NETWORKS, *REGRESSIONS, *TABLES)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the tables; without it they are left out")
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="data sets (default: all)")
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES), help="default: all")
    parser.add_argument("--num-draws", type=int, default=2000, help="draws of an estimate (default %(default)s)")
    parser.add_argument("--epochs", type=int, help="end all fits after as many epochs, to try the script")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=PLOTS / "convergence.md", help="default plots/convergence.md")
    return parser.parse_args(arguments)


def problem(options: argparse.Namespace, name: str) -> Problem | None:
    """Return the data set of this name; None if it is a table that is not there."""
    seed = options.seed
    if name in REGRESSIONS:
        x, y, noise = line(REGRESSIONS[name], seed)
        return Problem(x, y, lambda: vb.likelihoods.Normal(noise), {"hidden_units": ()})
    if name in TABLES:
        folder = None if options.data is None else options.data / name / "data"
        if folder is None or not folder.is_dir():
            return None
        rows = np.loadtxt(folder / "data.txt")
        features, target = (np.loadtxt(folder / f"index_{of}.txt", dtype=int, ndmin=1) for of in ("features", "target"))
        rows = rows[:, [*features, *target[:1]]]
        sd = rows.std(0)
        rows = (rows - rows.mean(0)) / np.where(sd > 0, sd, 1.0)
        return Problem(rows[:, :-1], rows[:, -1:], vb.likelihoods.LearnedNormal, {})
    likelihood, data = {
        "cubic": (lambda: vb.likelihoods.Normal(0.3), vb.datasets.cubic(200, seed=seed)),
        "cubic, tanh": (lambda: vb.likelihoods.Normal(0.3), vb.datasets.cubic(200, seed=seed)),
        "wiggly": (lambda: vb.likelihoods.Normal(0.25), vb.datasets.wiggly(seed=seed)),
        "two clusters": (lambda: vb.likelihoods.Normal(0.2), vb.datasets.two_clusters(seed=seed)),
        "fan": (vb.likelihoods.HeteroscedasticNormal, vb.datasets.fan(seed=seed)),
    }[name]
    return Problem(*data, likelihood, {"activation": "tanh" if name.endswith("tanh") else "relu"})


def line(noise: float, seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Five correlated inputs, and y of sd 1 with the given share of noise; the noise sd is the last value."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(300, 5)) @ (np.eye(5) + 0.8)
    f = x @ generator.normal(size=(5, 1))
    y = np.sqrt(1.0 - noise**2) * (f - f.mean()) / f.std() + noise * generator.normal(size=f.shape)
    return x, y, noise


def rows(options: argparse.Namespace, data: Problem, family: str) -> list[list[str]]:
    """Cells of the default fit, of twice its steps, and of first-order steps."""
    default, network, likelihood = fit(options, data, family)
    shown = [["default", *cells(default, default.history)]]
    if not default.history.exact:
        epochs = len(default.history.epoch)
        rate = default.history.history["learning_rate"][0]
        rows_a_step = -(-len(data.x) // default.history.steps_per_epoch)
        more = {"epochs": epochs, "batch_size": rows_a_step, "learning_rate": rate, "kl_warmup": 0.0}
        again = call(options, data, network, likelihood, more)
        shown.append([f"twice the steps: lower by {default.loss - again.loss:.4f}", *cells(again, None)])
        alone, *_ = fit(options, data, family, learning_rate=0.01)
        shown.append(["Adam alone", *cells(alone, alone.history)])
    return shown


def cells(outcome: Outcome, history: vb.History | None) -> list[str]:
    """Of one row of the table; without the history of a whole fit, its end alone."""
    over_time = ["" if history is None or not np.isfinite(v) else f"{v:.3f}" for v in outcome.over_time]
    settled = "" if history is None else "exact" if history.exact else "yes" if history.converged else "no"
    steps = len(outcome.history.epoch) * outcome.history.steps_per_epoch
    return [*over_time, f"{outcome.loss:.3f}", f"{outcome.seconds:.0f}", f"{steps:,}", settled]


def fit(options: argparse.Namespace, data: Problem, family: str, **how: Any) -> tuple[Outcome, Any, Any]:
    """Fit a new network."""
    likelihood = data.make_likelihood()
    network = vb.build_network(
        data.x.shape[1],
        likelihood=likelihood,
        make_posterior_fn=FAMILIES[family],
        seed=options.seed,
        **data.architecture,
    )
    if options.epochs is not None:
        how |= {"epochs": options.epochs}
    return call(options, data, network, likelihood, how), network, likelihood


def call(options: argparse.Namespace, data: Problem, network: Any, likelihood: Any, how: dict[str, Any]) -> Outcome:
    """Train a network, from where it is."""
    vb.clear_programs()  # every fit pays for its own compilation
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of fits that have not settled: a column says so
        history = vb.fit(network, likelihood, data.x, data.y, **how, seed=options.seed, verbose=0)
    seconds = time.perf_counter() - began
    found = vb.estimate_elbo(network, likelihood, data.x, data.y, num_draws=options.num_draws, seed=1)
    return Outcome(over_time(history.history["loss"], history.seconds, seconds), found.loss, seconds, history)


def over_time(losses: Sequence[float], of_steps: float, seconds: float) -> list[float]:
    """Mean of the last twentieth of the losses that there are at each of MOMENTS; epochs end at equal distances."""
    ends = seconds - of_steps + of_steps * np.arange(1, len(losses) + 1) / len(losses)
    means = []
    for moment in MOMENTS:
        count = int(np.sum(ends <= moment))
        is_under_way = 0 < count < len(losses)
        means.append(float(np.mean(losses[count - max(count // 20, 1) : count])) if is_under_way else np.nan)
    return means


if __name__ == "__main__":
    main()
