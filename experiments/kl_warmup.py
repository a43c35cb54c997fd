"""Over which part of a run should the weight of the KL rise? The final ELBO at full weight, for each choice.

Two sets of the cubic with full covariance, and real tables with mean field, a learned noise scale and three priors.
The loss is -ELBO / N at full weight for any warm-up, averaged over the last twentieth of the run, when the learning
rate is nearly zero: the KL in closed form, the nll from the draws of about a thousand steps.
The tables are in a folder with the layout of Hernandez-Lobato and Adams (2015): NAME/data/data.txt, index_features.txt,
index_target.txt, index_train_0.txt, index_test_0.txt, and so on for each split.

python experiments/kl_warmup.py --data FOLDER
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import argparse
import itertools
import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.special import logsumexp

import varbump as vb

PLOTS = Path(__file__).resolve().parent.parent / "plots"
WARMUPS = (0.0, 0.1, 0.25, 0.5, 0.75)
BATCH = 64
FIXED = "N(0, 1)"
PRIORS = {FIXED: vb.prior, "TrainableNormal": vb.priors.TrainableNormal(), "ARDNormal": vb.priors.ARDNormal()}
CUBICS = {"cubic-200": 200, "cubic-5000": 5000}
SETS = (*CUBICS, "bostonHousing", "concrete", "energy", "yacht")


class Split(NamedTuple):
    """Training and test data."""

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    unit: float = 1.0  # one unit of y: its sd if it was standardised


class Job(NamedTuple):
    """One fit: its data, prior, seed or split, and warm-up."""

    data: str
    prior: str
    repeat: int
    warmup: float
    options: argparse.Namespace


class Result(NamedTuple):
    """Result of one fit."""

    loss: float  # nats per observation
    rmse: float  # units of y
    log_likelihood: float  # nats per held-out point, of the mixture over draws, in units of y


def main(arguments: list[str] | None = None) -> None:
    """Run each row of the tables with each warm-up."""
    options = parse(arguments)
    rows = [(data, FIXED) for data in options.sets if data in CUBICS]
    if options.data is not None and options.data.is_dir():
        rows += itertools.product([data for data in options.sets if data not in CUBICS], PRIORS)
    else:
        print(f"No tables: --data is {options.data}, which is no folder.")
    jobs = [Job(*row, r, w, options) for r in range(options.repeats) for row in rows for w in options.warmups]
    measured: dict[tuple[str, str], list[Result]] = {row: [] for row in rows}
    for job, result in zip(jobs, run(jobs, options.jobs), strict=True):
        measured[job.data, job.prior].append(result)
        print(job.repeat, job.data, job.prior, job.warmup, *(f"{value:.4f}" for value in result), flush=True)
    shape = options.repeats, len(options.warmups), len(Result._fields)
    text = report(options, {row: np.reshape(values, shape) for row, values in measured.items()})
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(text)
    print(text)
    print(f"Table: {options.out}")


def run(jobs: list[Job], num_processes: int) -> Iterable[Result]:
    """Return the result of each job, in order."""
    if num_processes == 1:
        yield from map(measure, jobs)
        return
    with ProcessPoolExecutor(num_processes, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(measure, jobs)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Command-line options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the tables; without it there is the cubic only")
    parser.add_argument("--sets", nargs="+", default=SETS, help="cubics and names of tables (default: all)")
    parser.add_argument("--warmups", nargs="+", type=float, default=WARMUPS, help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=20_000, help="steps of a fit (default %(default)s)")
    parser.add_argument("--repeats", type=int, default=2, help="seeds, or splits of a table (default %(default)s)")
    parser.add_argument("--num-draws", type=int, default=500, help="draws for the scores (default %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default %(default)s)")
    parser.add_argument("--out", type=Path, default=PLOTS / "kl_warmup.md", help="table (default plots/kl_warmup.md)")
    return parser.parse_args(arguments)


def cubic(num_data: int, seed: int) -> Split:
    """Make the cubic, and new points from the same distribution."""
    generator = np.random.default_rng((seed, 1))
    x = generator.uniform(*vb.datasets.CUBIC_RANGE, size=(2000, 1))
    y = x**3 + vb.datasets.cubic_noise(x) * generator.standard_normal(x.shape)
    return Split(*vb.datasets.cubic(num_data, seed=seed), x.astype("float32"), y.astype("float32"))


def standardised(folder: Path, k: int) -> Split:
    """Read split k of a table, standardised by its training rows."""
    table = np.loadtxt(folder / "data.txt")
    features, target, train, test = (
        np.loadtxt(folder / f"index_{name}.txt", dtype=int, ndmin=1)
        for name in ("features", "target", f"train_{k}", f"test_{k}")
    )
    table = table[:, [*features, *target[:1]]]
    sd = table[train].std(0)
    sd[sd == 0] = 1.0  # a constant column
    scaled = ((table - table[train].mean(0)) / sd).astype("float32")
    return Split(scaled[train, :-1], scaled[train, -1:], scaled[test, :-1], scaled[test, -1:], float(sd[-1]))


def measure(job: Job) -> Result:
    """Fit once and evaluate the result."""
    options, seed = job.options, job.repeat
    if job.data in CUBICS:
        split, likelihood = cubic(CUBICS[job.data], seed), vb.likelihoods.Normal(0.3)
        network = vb.build_network(make_prior_fn=PRIORS[job.prior], seed=seed)
    else:
        split, likelihood = standardised(options.data / job.data / "data", job.repeat), vb.likelihoods.LearnedNormal()
        network = vb.build_network(
            split.x.shape[1],
            hidden_units=(50,),
            make_prior_fn=PRIORS[job.prior],
            make_posterior_fn=vb.posteriors.MeanFieldNormal(),
            estimator="local",
            seed=seed,
        )
    epochs = max(1, round(options.steps / -(-len(split.x) // BATCH)))
    history = vb.fit(
        network,
        likelihood,
        split.x,
        split.y,
        epochs=epochs,
        batch_size=BATCH,
        kl_warmup=job.warmup,
        seed=seed,
        verbose=0,
    )
    f = vb.predict_f(network, split.x_test, num_draws=options.num_draws, seed=seed)
    log_likelihood = logsumexp(-likelihood.nll(split.y_test, f).numpy(), axis=0) - np.log(len(f))
    return Result(
        loss=float(np.mean(history.history["loss"][-max(1, epochs // 20) :])),
        rmse=split.unit * float(np.sqrt(np.mean((f.mean(0) - split.y_test) ** 2))),
        log_likelihood=float(np.mean(log_likelihood)) - float(np.log(split.unit)),
    )


def report(options: argparse.Namespace, results: dict[tuple[str, str], np.ndarray]) -> str:
    """Report the setup, the figures by warm-up, and the cost of each warm-up over the best one."""
    folder = f" --data {options.data.name}" if options.data else ""
    losses = {row: values[..., 0].mean(0) for row, values in results.items()}
    return "\n".join(
        [
            f"`python experiments/kl_warmup.py{folder} --steps {options.steps} --repeats {options.repeats}`, "
            f"seeds and splits 0 to {options.repeats - 1}.",
            "",
            f"Adam with cosine decay from 0.01, {options.steps:,} steps in batches of {BATCH}. Cubic: network "
            "1-16-16-1, full covariance by layer, Normal(0.3). Tables: standardised by the training rows, 50 ReLU "
            'units, mean field, estimator="local", LearnedNormal. Columns: the fraction of the run over which the KL '
            f"weight rises from 0 to 1. Means over the repeats ({options.repeats}), the best of a row in bold.",
            "",
            "Loss, -ELBO / N at full weight, mean over the last twentieth of the run (nats per observation):",
            "",
            *table(options.warmups, {row: (mean, np.argmin(mean), 3) for row, mean in losses.items()}),
            "",
            "Held-out RMSE (units of y):",
            "",
            *table(options.warmups, {row: figures(values[..., 1], np.argmin) for row, values in results.items()}),
            "",
            "Held-out log-likelihood (nats per point, of the mixture over draws, units of y):",
            "",
            *table(options.warmups, {row: figures(values[..., 2], np.argmax) for row, values in results.items()}),
            "",
            "What a warm-up loses against the best of its row (nats per observation), mean and worst over the rows:",
            "",
            *regrets(options.warmups, losses),
            "",
        ]
    )


def figures(values: np.ndarray, best: Callable[..., Any]) -> tuple[np.ndarray, int, int]:
    """Means over the repeats, the index of the best, and decimals to print."""
    mean = values.mean(0)
    return mean, best(mean), 3


def table(warmups: Sequence[float], rows: dict[tuple[str, str], tuple[np.ndarray, int, int]]) -> list[str]:
    """Table with a row for each case and a column for each warm-up."""
    lines = ["| data | prior | " + " | ".join(f"{w:g}" for w in warmups) + " |", "|---|---|" + "---:|" * len(warmups)]
    for (data, prior), (values, best, digits) in rows.items():
        cells = [f"**{v:.{digits}f}**" if i == best else f"{v:.{digits}f}" for i, v in enumerate(values)]
        lines.append(f"| {data} | {prior} | " + " | ".join(cells) + " |")
    return lines


def regrets(warmups: Sequence[float], losses: dict[tuple[str, str], np.ndarray]) -> list[str]:
    """Excess of each warm-up over the best of its row, by kind of prior."""
    lines = ["| rows | " + " | ".join(f"{w:g}" for w in warmups) + " |", "|---|" + "---:|" * len(warmups)]
    groups = {
        "fixed prior, cubic": [v for (data, prior), v in losses.items() if data in CUBICS],
        "fixed prior, tables": [v for (d, prior), v in losses.items() if prior == FIXED and d not in CUBICS],
        "learned prior, tables": [v for (_, prior), v in losses.items() if prior != FIXED],
        "all": list(losses.values()),
    }
    for name, values in groups.items():
        if values:
            lost = np.array(values) - np.min(values, axis=1, keepdims=True)
            cells = [f"{m:.3f}, {w:.3f}" for m, w in zip(lost.mean(0), lost.max(0), strict=True)]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


if __name__ == "__main__":
    main()
