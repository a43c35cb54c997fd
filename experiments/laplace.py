"""How close is Laplace's approximation of a plain tf_keras network to the exact posterior? NUTS is the reference.

python experiments/laplace.py
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import argparse
import time
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import tf_keras

import varbump as vb

PLOTS = Path(__file__).resolve().parent.parent / "plots"
BLUE, ORANGE, INK = "#0072B2", "#D55E00", "#202020"  # Okabe and Ito (2008), "Color Universal Design"
LIKELIHOOD = vb.likelihoods.Normal(0.3)
NUM_DATA, PRIOR_SCALE, NUM_DRAWS = 200, 1.0, 2000
VARIANTS: dict[str, dict[str, Any]] = {
    "linearised, all weights": {"prior_scale": PRIOR_SCALE},
    "prior scale by marginal likelihood": {},
    "last layer": {"prior_scale": PRIOR_SCALE, "structure": "last_layer"},
    "independent weights": {"prior_scale": PRIOR_SCALE, "structure": "diagonal"},
    "weights drawn, not linearised": {"prior_scale": PRIOR_SCALE, "linearised": False},
}
Q_MEAN = "linearised at the mean of q"


def main(arguments: list[str] | None = None) -> None:
    """Train, approximate, sample, compare; write a table and a picture."""
    options = parse(arguments)
    x, y = vb.datasets.cubic(NUM_DATA, seed=options.seed, noise=vb.datasets.cubic_noise)
    low, high = vb.datasets.CUBIC_RANGE
    grid = np.linspace(low - (high - low) / 3, high + (high - low) / 3, 101)
    variational = vb.build_network(posterior="mean_field", estimator="local", seed=options.seed)
    how = {"batch_size": 50, "learning_rate": 0.01, "kl_warmup": 0.0, "seed": options.seed, "verbose": 0}
    vb.fit(variational, LIKELIHOOD, x, y, epochs=2 * options.epochs, **how)
    lengths = {"num_draws": options.num_draws, "num_warmup": options.num_warmup, "max_minutes": 100_000}
    exact = vb.sample_nuts(variational, LIKELIHOOD, x, y, **lengths, x_test=grid[::2], seed=options.seed, verbose=0)
    truth = moments(exact, grid, exact.num_chains * exact.num_draws)

    posteriors: dict[str, list[Any]] = {name: [] for name in VARIANTS}
    seconds: dict[str, list[float]] = {name: [] for name in [*VARIANTS, Q_MEAN]}
    for seed in range(options.seed, options.seed + options.networks):
        network = trained(x, y, options.epochs, seed)
        for name, arguments_of in VARIANTS.items():
            began = time.perf_counter()
            posteriors[name].append(vb.laplace(network, LIKELIHOOD, x, y, **arguments_of))
            seconds[name].append(time.perf_counter() - began)
    began = time.perf_counter()
    posteriors[Q_MEAN] = [vb.laplace(variational, LIKELIHOOD, x, y)]
    seconds[Q_MEAN].append(time.perf_counter() - began)
    found = {name: [moments(p, grid, NUM_DRAWS) for p in made] for name, made in posteriors.items()}
    found = {"mean field": [moments(variational, grid, NUM_DRAWS)], **found}

    inside = (grid >= low) & (grid <= high)
    regions = {"among the data": inside, "left end": grid == grid[0], "right end": grid == grid[-1]}
    lines = [
        f"python experiments/laplace.py --seed {options.seed} --epochs {options.epochs} --networks {options.networks} "
        f"--num-draws {options.num_draws} --num-warmup {options.num_warmup}",
        "",
        f"f of a 1-16-16-1 ReLU network with N(0, 1) priors on the cubic of {NUM_DATA} points, against NUTS (R-hat of "
        f"f at most {exact.rhat[exact.in_range].max():.3f} in range). Plain networks were trained to the mode, with "
        f"the penalty of the prior. Two numbers a region: the error of the mean in sds of NUTS, and the ratio of the "
        f"sd to that of NUTS, averaged over the region and over {options.networks} networks; the ends are a third of "
        f"the range beyond the data.",
        "",
        "| posterior | " + " | ".join(regions) + " | Newton step, sds of f | seconds |",
        "|---" * (len(regions) + 3) + "|",
    ]
    for name, pairs in found.items():
        cells = [against(pairs, truth, which) for which in regions.values()]
        shift = f"{np.mean([p.shift for p in posteriors[name]]):.2f}" if name in posteriors else ""
        took = f"{np.median(seconds[name]):.1f}" if name in seconds else ""
        lines.append("| " + " | ".join([name, *cells, shift, took]) + " |")
    text = "\n".join(lines) + "\n"
    options.out.with_suffix(".md").write_text(text)
    draw(options.out, (x, y), grid, {name: pairs[0] for name, pairs in found.items()}, truth)
    print(text)
    print(f"Table: {options.out.with_suffix('.md')}\nPicture: {options.out}")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Command-line options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=2000, help="of plain networks; twice of q (default %(default)s)")
    parser.add_argument("--networks", type=int, default=3, help="plain networks, by seed (default %(default)s)")
    parser.add_argument("--num-draws", type=int, default=500, help="draws of each NUTS chain (default %(default)s)")
    parser.add_argument("--num-warmup", type=int, default=300, help="warm-up draws before them (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=PLOTS / "laplace.png", help="picture (default plots/laplace.png)")
    return parser.parse_args(arguments)


def trained(x: np.ndarray, y: np.ndarray, epochs: int, seed: int) -> tf_keras.Model:
    """Train a plain network to a mode of the posterior: the mean nll plus the penalty of the prior, per observation."""
    tf_keras.utils.set_random_seed(seed)
    penalty = tf_keras.regularizers.l2(0.5 / PRIOR_SCALE**2 / len(x))
    layers = [
        tf_keras.layers.Dense(units, activation, kernel_regularizer=penalty, bias_regularizer=penalty)
        for units, activation in ((16, "relu"), (16, "relu"), (1, None))
    ]
    network = tf_keras.Sequential(layers)
    rate = tf_keras.optimizers.schedules.CosineDecay(0.01, 2 * epochs)
    network.compile(tf_keras.optimizers.Adam(rate), LIKELIHOOD)
    network.fit(x, y, epochs=epochs, batch_size=NUM_DATA // 2, verbose=0)
    return network


def moments(source: Any, grid: np.ndarray, num_draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd of f on the grid."""
    f = vb.predict_f(source, grid, num_draws=num_draws, seed=0)[..., 0]
    return np.mean(f, axis=0), np.std(f, axis=0)


def against(pairs: list[tuple[np.ndarray, np.ndarray]], truth: tuple[np.ndarray, np.ndarray], which: np.ndarray) -> str:
    """Error of the mean and ratio of the sds in a region."""
    error = np.mean([np.abs(mean - truth[0])[which] / truth[1][which] for mean, _ in pairs])
    ratio = np.mean([sd[which] / truth[1][which] for _, sd in pairs])
    return f"{error:.2f} / {ratio:.2f}"


def draw(out: Path, data: Any, grid: np.ndarray, found: dict[str, Any], truth: tuple[np.ndarray, np.ndarray]) -> None:
    """Plot mean and 1.96 sds of each posterior; axis limits follow those of NUTS."""
    figure, axes = plt.subplots(1, len(found), figsize=(13, 2.6), sharey=True, layout="constrained")
    low, high = truth[0] - 1.96 * truth[1], truth[0] + 1.96 * truth[1]
    for ax, (name, (mean, sd)) in zip(axes, found.items(), strict=True):
        ax.plot(*data, ".", color=ORANGE, markersize=2.6, alpha=0.8, markeredgewidth=0)
        ax.fill_between(grid, mean - 1.96 * sd, mean + 1.96 * sd, color=BLUE, alpha=0.35, linewidth=0)
        ax.plot(grid, mean, color=BLUE, linewidth=1.3)
        for edge in (low, high):
            ax.plot(grid, edge, color=INK, linewidth=0.8, linestyle=(0, (3, 1.5)))
        ax.set(xlim=(grid[0], grid[-1]), ylim=(low.min() - 3, high.max() + 3))
        ax.set_title(name, fontsize=8)
        ax.tick_params(labelsize=7.5, length=2)
        ax.spines[["top", "right"]].set_visible(False)
    figure.suptitle("Mean and 1.96 sds of f (blue), those of NUTS (dashed), data (orange)", fontsize=9)
    figure.savefig(out, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    main()
