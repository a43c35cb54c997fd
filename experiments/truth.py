"""How far are the bands of each variational family from those of the exact posterior? NUTS is the reference.

python experiments/truth.py
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from rich import print

import varbump as vb

PLOTS = Path(__file__).resolve().parent.parent / "plots"
BLUE, ORANGE, INK = "#0072B2", "#D55E00", "#202020"  # Okabe and Ito (2008), "Color Universal Design"
NUM_GRID = 101
REGIONS = ("in range", "gap", "left end", "right end")
NUM_RESAMPLED = 2000
SCALE = 0.3  # noise sd of the cubic's likelihood


class Problem(NamedTuple):
    """Data, and the intervals of x that they cover."""

    x: np.ndarray
    y: np.ndarray
    likelihood: Any
    clusters: tuple[tuple[float, float], ...]

    @property
    def grid(self) -> np.ndarray:
        """The range of the data, extended by a third on either side."""
        low, high = self.clusters[0][0], self.clusters[-1][1]
        return np.linspace(low - (high - low) / 3, high + (high - low) / 3, NUM_GRID)

    @property
    def in_range(self) -> np.ndarray:
        """Mask of the grid points among the data."""
        x = self.grid
        return np.any([(x >= low - 1e-9) & (x <= high + 1e-9) for low, high in self.clusters], axis=0)

    @property
    def in_gap(self) -> np.ndarray:
        """Mask of the grid points between clusters."""
        x = self.grid
        return (x > self.clusters[0][0]) & (x < self.clusters[-1][1]) & ~self.in_range


class Family(NamedTuple):
    """A family and its training; 0 members stand for `vb.sample_importance`, -1 for `vb.sample_posterior`."""

    make_posterior_fn: Any
    estimator: str
    num_members: int


class Result(NamedTuple):
    """One posterior on the grid."""

    mean: np.ndarray
    sd: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    loss: float
    seconds: float
    settled: str = ""
    again: float = np.nan  # loss after twice the steps


PROBLEMS = ("cubic", "wiggly", "two clusters", "fan")
FAMILIES = {
    "mean field": Family(vb.posteriors.MeanFieldNormal(), "local", 1),
    "low rank": Family(vb.posteriors.LowRankNormal(), "local", 1),
    "full, by layer": Family(vb.posteriors.FullCovarianceNormal(), "flipout", 1),
    "joint": Family(vb.posteriors.JointNormal(), "flipout", 1),
    "8 mean fields": Family(vb.posteriors.MeanFieldNormal(), "local", 8),
    "4 joints": Family(vb.posteriors.JointNormal(), "flipout", 4),
    "importance": Family(vb.posteriors.MeanFieldNormal(), "local", 0),
    "sample_posterior": Family(vb.posteriors.MeanFieldNormal(), "local", -1),
}
NUTS, AGAIN = "NUTS", "NUTS, shorter run"


def main(arguments: list[str] | None = None) -> None:
    """Fit every family to every data set; write a table and a picture."""
    options = parse(arguments)
    results: dict[str, dict[str, Result]] = {}
    notes: list[str] = []
    tasks = [(options, name) for name in options.only]
    if options.jobs > 1:
        with ProcessPoolExecutor(options.jobs, get_context("spawn")) as pool:
            measured = list(pool.map(measure, tasks))
    else:
        measured = [measure(task) for task in tasks]
    for name, (result, note) in zip(options.only, measured, strict=True):
        results[name] = result
        notes.append(f"{name}: {note}")
    text = table(options, results, notes)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.with_suffix(".md").write_text(text)
    draw(options, results)
    print(text)
    print(f"Table: {options.out.with_suffix('.md')}\nPicture: {options.out}")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Command-line options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, help="passes over the data (default: until the fit has settled)")
    parser.add_argument("--num-draws", type=int, default=500, help="draws of each NUTS chain (default %(default)s)")
    parser.add_argument("--num-warmup", type=int, default=300, help="warm-up draws before them (default %(default)s)")
    parser.add_argument("--only", nargs="+", choices=PROBLEMS, default=list(PROBLEMS), help="data sets (default all)")
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES), help="default all")
    parser.add_argument("--noise", type=float, help="noise sd of the cubic; by default it grows with x")
    parser.add_argument("--jobs", type=int, default=2, help="data sets at once (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=PLOTS / "truth.png", help="picture (default plots/truth.png)")
    return parser.parse_args(arguments)


def problem(options: argparse.Namespace, name: str) -> Problem:
    """Return the data set of this name."""
    if name == "cubic":
        noise = vb.datasets.cubic_noise if options.noise is None else options.noise
        data = vb.datasets.cubic(200, seed=options.seed, noise=noise)
        return Problem(*data, vb.likelihoods.Normal(SCALE), (vb.datasets.CUBIC_RANGE,))
    if name == "wiggly":
        data = vb.datasets.wiggly(seed=options.seed)
        return Problem(*data, vb.likelihoods.Normal(0.25), vb.datasets.WIGGLY_CLUSTERS)
    if name == "two clusters":
        data = vb.datasets.two_clusters(seed=options.seed)
        return Problem(*data, vb.likelihoods.Normal(0.2), vb.datasets.TWO_CLUSTERS)
    data = vb.datasets.fan(seed=options.seed)
    return Problem(*data, vb.likelihoods.HeteroscedasticNormal(), (vb.datasets.FAN_RANGE,))


def measure(task: tuple[argparse.Namespace, str]) -> tuple[dict[str, Result], str]:
    """Run all families and NUTS, twice, on one data set."""
    options, name = task
    data = problem(options, name)
    results, start = {}, None
    for family_name in options.families:
        family = FAMILIES[family_name]
        network = vb.build_network(
            likelihood=data.likelihood,
            make_posterior_fn=family.make_posterior_fn,
            estimator=family.estimator,
            seed=options.seed,
        )
        began = time.perf_counter()
        source, history = train(options, family, network, data)
        seconds = time.perf_counter() - began
        start = start or network
        last = max(len(history.history["loss"]) // 20, 1)
        loss, again = float(np.mean(history.history["loss"][-last:])), np.nan
        num_draws = 4000 if family.num_members else NUM_RESAMPLED
        if isinstance(source, vb.NearExactDraws):
            num_draws = source.num_chains * source.num_draws
        result = summary(data, source, num_draws, loss, seconds)
        if family.num_members == 1:
            loss, again = estimate(network, data), twice(options, network, data, history)
        settled = "yes" if history.converged else "no"
        results[family_name] = result._replace(
            loss=loss, settled=settled if family.num_members > 0 else "", again=again
        )
    runs = {}
    for factor, seed in ((1, options.seed + 1000), (2, options.seed)):
        runs[factor] = vb.sample_nuts(
            start,
            data.likelihood,
            data.x,
            data.y,
            num_draws=factor * options.num_draws,
            num_warmup=options.num_warmup,
            x_test=data.grid[::2],
            max_minutes=100_000,  # the estimate assumes the deepest trees, and a busy machine inflates it
            seed=seed,
            verbose=0,
        )
    few, many = (
        summary(data, run, run.num_chains * run.num_draws, np.nan, run.seconds + run.compile_seconds)
        for run in runs.values()
    )
    worst = [run.rhat[run.in_range == inside].max() for run in runs.values() for inside in (True, False)]
    note = (
        f"R-hat of f at most {worst[2]:.3f} in range and {worst[3]:.3f} outside in {runs[2].num_draws:,} draws of each "
        f"of {runs[2].num_chains} chains; {worst[0]:.3f} and {worst[1]:.3f} in {runs[1].num_draws:,} with another "
        f"seed; {np.mean(runs[2].divergent):.1%} divergent"
    )
    return {NUTS: many, AGAIN: few, **results}, note


def train(options: argparse.Namespace, family: Family, network: Any, data: Problem) -> tuple[Any, vb.History]:
    """Return a source of draws, and the history of its training."""
    if family.num_members < 0:
        most = {"num_draws": 4 * options.num_draws, "num_warmup": options.num_warmup, "max_minutes": 100_000}
        draws = vb.sample_posterior(
            network, data.likelihood, data.x, data.y, **most, x_test=data.grid[::2], seed=options.seed, verbose=0
        )
        return draws, vb.History(history={"loss": [np.nan]}, num_data=len(data.x), steps_per_epoch=1)
    if not family.num_members:
        steps = {"num_steps": min(10_000, 4 * (options.epochs or 10_000)), "num_draws": NUM_RESAMPLED}
        draws = vb.sample_importance(network, data.likelihood, data.x, data.y, **steps, seed=options.seed, verbose=0)
        return draws, draws.history
    how: dict[str, Any] = {"seed": options.seed, "verbose": 0}
    how |= {} if options.epochs is None else {"epochs": options.epochs}
    if family.num_members == 1:
        return network, vb.fit(network, data.likelihood, data.x, data.y, **how)
    ensemble = vb.fit_ensemble(network, data.likelihood, data.x, data.y, num_members=family.num_members, **how)
    return ensemble, ensemble.history


def estimate(network: Any, data: Problem) -> float:
    """-ELBO / N of a network."""
    return vb.estimate_elbo(network, data.likelihood, data.x, data.y, num_draws=2000, seed=1).loss


def twice(options: argparse.Namespace, network: Any, data: Problem, history: vb.History) -> float:
    """Go on for as many steps as the fit has taken, in which the rate falls to 0 again; return -ELBO / N."""
    rate, epochs = history.history["learning_rate"][0], len(history.epoch)
    rows = -(-len(data.x) // history.steps_per_epoch)
    how = {"epochs": epochs, "batch_size": rows, "learning_rate": rate, "kl_warmup": 0.0}
    vb.fit(network, data.likelihood, data.x, data.y, **how, seed=options.seed, verbose=0)
    return estimate(network, data)


def summary(data: Problem, source: Any, num_draws: int, loss: float, seconds: float) -> Result:
    """Mean, sd and 95 % band of E[y | f] on the grid."""
    f = vb.predict_f(source, data.grid, likelihood=data.likelihood, num_draws=num_draws, seed=0)
    bands = vb.credible_bands(f, levels=(0.95,))
    return Result(
        *(column[:, 0] for column in (bands.mean, bands.sd, bands.lower[0.95], bands.upper[0.95])), loss, seconds
    )


def against(data: Problem, result: Result, truth: Result) -> list[str]:
    """Error of the mean, in sds of the truth, and ratio of the sds, in each region."""
    error, ratio = np.abs(result.mean - truth.mean) / truth.sd, result.sd / truth.sd
    first, last = (np.arange(NUM_GRID) == at for at in (0, NUM_GRID - 1))
    where = (data.in_range, data.in_gap, first, last)
    return [f"{error[which].mean():.2f} / {ratio[which].mean():.2f}" if which.any() else "" for which in where]


def table(options: argparse.Namespace, results: dict[str, dict[str, Result]], notes: list[str]) -> str:
    """Write a table for each data set, and one for a linear network, where the theory is known."""
    given = "" if options.noise is None else f" --noise {options.noise:g}"
    given += "" if set(options.only) == set(PROBLEMS) else f" --only {' '.join(map(repr, options.only))}"
    lines = [
        f"python experiments/truth.py --seed {options.seed} --num-draws {options.num_draws} --num-warmup "
        f"{options.num_warmup}{given}",
        "",
        "f of a 1-16-16-1 ReLU network with N(0, 1) priors, against NUTS. Two numbers a region: the error of the mean, "
        "|mean - mean of NUTS| / sd of NUTS, and the ratio of the sd to that of NUTS, both averaged over the region; "
        "the ends are those of the picture, a third of the range beyond the data. Fits are those without options. "
        "Loss: -ELBO / N, nats per observation; twice: after as many steps again.",
    ]
    for (name, result), note in zip(results.items(), notes, strict=True):
        data = problem(options, name)
        rows = []
        for family, one in result.items():
            if family != NUTS:
                cells = against(data, one, result[NUTS])
                losses = [f"{value:.3f}" if np.isfinite(value) else "" for value in (one.loss, one.again)]
                rows.append([family, *cells, *losses, one.settled, f"{one.seconds:.0f}"])
        head = ["posterior", *REGIONS, "loss", "twice", "settled", "seconds"]
        ends = f"sd of NUTS {result[NUTS].sd[0]:.3f} at the left end and {result[NUTS].sd[-1]:.3f} at the right"
        lines += ["", f"{note}; {ends}.", "", *markdown(head, rows)]
    return "\n".join([*lines, "", *linear(options), ""])


def linear(options: argparse.Namespace) -> list[str]:
    """Compare families on a linear network, where the posterior and the optimum of each family are known."""
    generator = np.random.default_rng(options.seed)
    num_data, num_features, noise = 60, 6, 0.5
    mixing = np.sqrt(0.4) * np.eye(num_features) + np.sqrt(0.6 / num_features) * np.ones((num_features, num_features))
    x = generator.normal(size=(num_data, num_features)) @ mixing
    y = x @ generator.normal(size=(num_features, 1)) + 0.3 + noise * generator.normal(size=(num_data, 1))
    phi = np.hstack([x, np.ones((num_data, 1))])
    precision = phi.T @ phi / noise**2 + np.eye(num_features + 1)
    mean = np.linalg.solve(precision, phi.T @ y / noise**2)[:, 0]
    exact, narrow = np.sqrt(np.diag(np.linalg.inv(precision))), np.diag(precision) ** -0.5
    expected = {
        "mean field": (narrow, narrow),
        "low rank": (narrow, exact),
        "full, by layer": (exact, exact),
        "joint": (exact, exact),
    }
    rows = []
    for name in [name for name in expected if name in options.families]:
        least, most = expected[name]
        family = FAMILIES[name]
        network = vb.build_network(
            num_features,
            hidden_units=(),
            make_posterior_fn=family.make_posterior_fn,
            estimator=family.estimator,
            seed=options.seed,
        )
        vb.fit(
            network,
            vb.likelihoods.Normal(noise),
            x,
            y,
            epochs=options.epochs,
            seed=options.seed,
            verbose=0,
        )
        q = network.layers[-1].posterior(None)
        sd = q.stddev().numpy()
        beyond = np.maximum(np.maximum(least / sd, sd / most), 1.0).max() - 1.0
        off = np.abs(q.mean().numpy() - mean) / exact
        theory = "that of the posterior" if least is exact else "Lambda_ii^(-1/2)"
        theory = theory if least is most else "between the two"
        rows.append([name, theory, f"{np.mean(sd / exact):.3f}", f"{100 * beyond:.1f} %", f"{off.max():.3f}"])
    return [
        f"Linear regression, {num_data} points, {num_features} correlated inputs, noise sd {noise:g}: the posterior is "
        f"normal with precision Lambda. Mean field must find the sd Lambda_ii^(-1/2), on average "
        f"{np.mean(narrow / exact):.3f} of the posterior's, families with a covariance the posterior's own.",
        "",
        *markdown(
            [
                "family",
                "sd in theory",
                "sd ratio to the posterior, mean",
                "largest error of an sd",
                "of a mean, in sds",
            ],
            rows,
        ),
    ]


def markdown(head: list[str], rows: list[list[str]]) -> list[str]:
    """Lines of a table."""
    cells = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(row) + " |" for row in cells]


def draw(options: argparse.Namespace, results: dict[str, dict[str, Result]]) -> None:
    """Plot a row for each data set and a column for each posterior; axis limits follow the band of NUTS."""
    names = [NUTS, *options.families]
    figure, axes = plt.subplots(
        len(results),
        len(names),
        figsize=(10, 0.75 + 1.5 * len(results)),
        sharex="row",
        sharey="row",
        squeeze=False,
        layout="constrained",
    )
    for row, (name, result) in zip(axes, results.items(), strict=True):
        data, truth = problem(options, name), result[NUTS]
        x, room = data.grid, 0.04 * (truth.upper.max() - truth.lower.min())
        for ax, family in zip(row, names, strict=True):
            one, color = result[family], INK if family == NUTS else BLUE
            for low, high in data.clusters:
                ax.axvspan(low, high, color="#EDEDED", zorder=0, linewidth=0)
            for (_, low), (high, _) in zip(data.clusters[:-1], data.clusters[1:], strict=True):
                ax.axvspan(low, high, color="#F9EBC8", zorder=0, linewidth=0)
            ax.plot(data.x, data.y, ".", color=ORANGE, markersize=2.6, alpha=0.8, markeredgewidth=0, zorder=2.5)
            alpha = 0.22 if family == NUTS else 0.35
            ax.fill_between(x, one.lower, one.upper, color=color, alpha=alpha, linewidth=0, zorder=2)
            for edge in (truth.lower, truth.upper):
                ax.plot(x, edge, color=INK, linewidth=0.8, linestyle=(0, (3, 1.5)), zorder=3)
            ax.plot(x, one.mean, color=color, linewidth=1.3, zorder=4)
            ax.set(xlim=(x[0], x[-1]), ylim=(truth.lower.min() - room, truth.upper.max() + room))
            ax.tick_params(labelsize=7.5, length=2, pad=2)
            ax.spines[["top", "right"]].set_visible(False)
        row[0].set_ylabel(name, fontsize=9)
    for ax, family in zip(axes[0], names, strict=True):
        ax.set_title(family, fontsize=9)
    handles = [
        mpl.lines.Line2D([], [], color=BLUE, linewidth=1.3, label="mean"),
        mpl.patches.Patch(color=BLUE, alpha=0.35, linewidth=0, label="95 % band of f"),
        mpl.lines.Line2D([], [], color=INK, linewidth=0.8, linestyle=(0, (3, 1.5)), label="95 % band of NUTS"),
        mpl.lines.Line2D([], [], color=ORANGE, marker=".", linestyle="", markersize=6, label="data"),
        mpl.patches.Patch(color="#E4E4E4", label="data range"),
        mpl.patches.Patch(color="#F9EBC8", label="gap"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=8.5)
    figure.savefig(options.out, dpi=200)
    plt.close(figure)
    with Image.open(options.out) as image:
        image.convert("RGB").quantize(160, dither=Image.Dither.NONE).save(options.out, optimize=True)


if __name__ == "__main__":
    main()
