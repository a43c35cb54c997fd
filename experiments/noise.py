"""Which likelihood learns how noisy the data are? The noise sd of the cubic grows fourfold with x.

python experiments/noise.py
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import numpy as np
from rich import print
from scipy.special import logsumexp

import varbump as vb

PLOTS = Path(__file__).resolve().parent.parent / "plots"
LEVELS = {0.5: 0.02, 0.95: 0.01}  # tolerance of the coverage
THIRDS = ("left", "middle", "right")
INK = "#202020"
# Okabe and Ito (2008), "Color Universal Design", each with its own line style and marker
STYLES = {
    "fixed, 0.25": ("#8C8C8C", (0, (1, 1)), "s"),
    "learned": ("#E69F00", (0, (5, 1.5)), "D"),
    "Student t": ("#CC79A7", (0, (3, 1, 1, 1)), "v"),
    "heteroscedastic": ("#0072B2", "-", "o"),
    "beta-NLL": ("#009E73", (0, (7, 2)), "^"),
    "faithful": ("#D55E00", (0, (2, 1)), "X"),
}


def likelihoods() -> dict[str, Any]:
    """Make new likelihoods for each fit, since some of them learn."""
    return {
        "fixed, 0.25": vb.likelihoods.Normal(0.25),
        "learned": vb.likelihoods.LearnedNormal(),
        "Student t": vb.likelihoods.StudentT(learn_df=True),
        "heteroscedastic": vb.likelihoods.HeteroscedasticNormal(),
        "beta-NLL": vb.likelihoods.HeteroscedasticNormal(beta=0.5),
        "faithful": vb.likelihoods.HeteroscedasticNormal(faithful=True),
    }


class Result(NamedTuple):
    """Evaluation of one fit on new points."""

    coverage: np.ndarray  # (level, overall and thirds), fractions
    rmse: float  # of the predictive mean against y
    error: float  # the same, against x^3
    log_likelihood: float  # nats per point, of the mixture over draws
    sd: np.ndarray  # noise sd along the grid, mean over draws


def main(arguments: list[str] | None = None) -> None:
    """Fit six likelihoods to several data sets; write a table and a picture."""
    options = parse(arguments)
    grid = np.linspace(*vb.datasets.CUBIC_RANGE, 151)
    results: dict[str, list[Result]] = {name: [] for name in STYLES}
    for seed in range(options.seed, options.seed + options.repeats):
        for name, likelihood in likelihoods().items():
            results[name].append(measure(options, likelihood, seed, grid))
    text = table(options, results)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.with_suffix(".md").write_text(text)
    draw(options, results, grid)
    print(text)
    print(f"Table: {options.out.with_suffix('.md')}\nPicture: {options.out}")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Command-line options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-data", type=int, default=5000, help="data points (default %(default)s)")
    parser.add_argument("--num-fresh", type=int, default=20_000, help="test points (default %(default)s)")
    parser.add_argument("--epochs", type=int, default=200, help="passes over the data (default %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="data sets, one seed each (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first data set")
    parser.add_argument("--out", type=Path, default=PLOTS / "noise.png", help="picture (default plots/noise.png)")
    return parser.parse_args(arguments)


def measure(options: argparse.Namespace, likelihood: Any, seed: int, grid: np.ndarray) -> Result:
    """Fit, and evaluate on new points."""
    x, y = vb.datasets.cubic(options.num_data, seed=seed)
    network = vb.build_network(
        hidden_units=(32,), likelihood=likelihood, make_posterior_fn=vb.posteriors.MeanFieldNormal(), seed=seed
    )
    vb.fit(network, likelihood, x, y, epochs=options.epochs, seed=seed, verbose=0)
    x, y = fresh(options.num_fresh, seed)
    bands = vb.predict_bands(network, x, likelihood=likelihood, levels=tuple(LEVELS), num_draws=1000, seed=seed)
    f = vb.predict_f(network, np.concatenate([x, grid[:, None]]), num_draws=200, seed=seed)
    f, on_grid = f[:, : len(x)], f[:, len(x) :]
    log_likelihood = logsumexp(-likelihood.nll(y, f).numpy(), axis=0) - np.log(len(f))
    mean = likelihood.mean(f).numpy().mean(0)
    inside = [((y >= bands.lower[level]) & (y <= bands.upper[level]))[:, 0] for level in LEVELS]
    return Result(
        coverage=np.array([[hit.mean(), *(hit[third(x) == k].mean() for k in range(3))] for hit in inside]),
        rmse=float(np.sqrt(np.mean((mean - y) ** 2))),
        error=float(np.sqrt(np.mean((mean - x**3) ** 2))),
        log_likelihood=float(np.mean(log_likelihood)),
        sd=likelihood.stddev(on_grid).numpy().mean(0)[:, 0],
    )


def fresh(num: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """New points from the same distribution."""
    generator = np.random.default_rng((seed, 1))
    x = generator.uniform(*vb.datasets.CUBIC_RANGE, size=(num, 1))
    y = x**3 + vb.datasets.cubic_noise(x) * generator.standard_normal(x.shape)
    return x.astype("float32"), y.astype("float32")


def third(x: np.ndarray) -> np.ndarray:
    """Return 0, 1 or 2, the third of the range in which each x lies."""
    low, high = vb.datasets.CUBIC_RANGE
    return np.clip((3 * (x[:, 0] - low) / (high - low)).astype(int), 0, 2)


def table(options: argparse.Namespace, results: dict[str, list[Result]]) -> str:
    """Means over the data sets, with standard deviations if there are several."""
    lines = [
        f"{options.num_data:,} points of x^3, noise sd 0.1 (2 + x), one hidden layer of 32 ReLU units, mean field, "
        f"{options.epochs:,} epochs; {options.num_fresh:,} fresh points; mean ± sd over {options.repeats} data sets "
        "(python experiments/noise.py).",
    ]
    for index, (level, allowed) in enumerate(LEVELS.items()):
        head = ["likelihood", "all", *THIRDS, f"within {100 * allowed:g}"]
        rows = []
        for name, fits in results.items():
            values = 100 * np.array([fit.coverage[index] for fit in fits])
            within = int(np.sum(np.all(np.abs(values - 100 * level) <= 100 * allowed, axis=1)))
            rows.append([name, *(spread(column, 1) for column in values.T), f"{within} of {len(fits)}"])
        lines += ["", f"Coverage of {100 * level:g} % predictive intervals, in %:", "", *markdown(head, rows)]
    x, y = fresh(options.num_fresh, options.seed)
    sd = vb.datasets.cubic_noise(x)
    truth = -np.mean(0.5 * ((y - x**3) / sd) ** 2 + np.log(sd) + 0.5 * np.log(2 * np.pi))
    rows = [
        [
            name,
            spread([fit.rmse for fit in fits], 4),
            spread([fit.error for fit in fits], 4),
            spread([fit.log_likelihood for fit in fits], 4),
        ]
        for name, fits in results.items()
    ]
    rows.append(["the truth", f"{np.sqrt(np.mean((y - x**3) ** 2)):.4f}", "0", f"{truth:.4f}"])
    head = ["likelihood", "RMSE to y", "RMSE to x^3", "log-likelihood, nats per point"]
    return "\n".join([*lines, "", "Accuracy:", "", *markdown(head, rows), ""])


def spread(values: Any, digits: int) -> str:
    """Mean ± sd, or the number itself if there is only one."""
    mean = f"{np.mean(values):.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ± {np.std(values, ddof=1):.{digits}f}"


def markdown(head: list[str], rows: list[list[str]]) -> list[str]:
    """Lines of a table."""
    cells = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(row) + " |" for row in cells]


def draw(options: argparse.Namespace, results: dict[str, list[Result]], grid: np.ndarray) -> None:
    """Plot the noise sd of the first data set along x and, below, the coverage in each third for all data sets."""
    figure = plt.figure(figsize=(8.4, 7.4), layout="constrained")
    axes = figure.subplot_mosaic([["sd", "sd"], [0.5, 0.95]], height_ratios=(1.15, 1))
    ax = axes["sd"]
    ax.plot(grid, vb.datasets.cubic_noise(grid), color=INK, linewidth=4.5, alpha=0.22, label="true noise sd")
    for offset, (name, (color, style, marker)) in enumerate(STYLES.items()):
        every = {"marker": marker, "markersize": 5, "markevery": (4 + 4 * offset, 25), "markeredgewidth": 0}
        ax.plot(grid, results[name][0].sd, color=color, linestyle=style, linewidth=1.5, label=name, **every)
    ax.set(xlabel="x", ylabel="sd of the noise, units of y", xlim=(grid[0], grid[-1]), ylim=(0, None))
    ax.set_title(
        f"What each likelihood takes the noise to be, first of {options.repeats} data sets of "
        f"{options.num_data:,} points",
        fontsize=10,
    )
    ax.legend(frameon=False, fontsize=9, loc="upper left")
    offsets = np.linspace(-0.3, 0.3, len(STYLES))
    for index, (level, allowed) in enumerate(LEVELS.items()):
        ax = axes[level]
        ax.axhspan(100 * (level - allowed), 100 * (level + allowed), color=INK, alpha=0.10, linewidth=0)
        ax.axhline(100 * level, color=INK, linewidth=0.8)
        for offset, (name, (color, _, marker)) in zip(offsets, STYLES.items(), strict=True):
            values = 100 * np.array([fit.coverage[index, 1:] for fit in results[name]])
            at = np.tile(np.arange(3) + offset, (len(values), 1))
            ax.plot(at.ravel(), values.ravel(), marker, color=color, markersize=4.5, alpha=0.75, markeredgewidth=0)
        for edge in (0.5, 1.5):
            ax.axvline(edge, color=INK, linewidth=0.5, alpha=0.3)
        low, high = vb.datasets.CUBIC_RANGE
        edges = np.linspace(low, high, 4)
        ax.set_xticks(range(3), [f"{a:g} to {b:g}" for a, b in zip(edges[:-1], edges[1:], strict=True)])
        ax.set(xlim=(-0.5, 2.5), xlabel="third of the range of x", ylabel="points inside, %")
        ax.set_title(f"{100 * level:g} % intervals, a mark a data set; shaded: ±{100 * allowed:g} %", fontsize=10)
    for ax in axes.values():
        ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(options.out, dpi=130)
    plt.close(figure)


if __name__ == "__main__":
    main()
