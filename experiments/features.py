"""What does the network know about a function of four features? Bands along each, and the training curves.

python experiments/features.py
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import argparse
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from rich import print

import varbump as vb

PLOTS = Path(__file__).resolve().parent.parent / "plots"
INK = "#202020"
NAMES = ("a", "b", "c", "d")
NOISE = 0.3


def main(arguments: list[str] | None = None) -> None:
    """Train, and plot a slice along each feature."""
    options = parse(arguments)
    generator = np.random.default_rng(options.seed)
    x = generator.uniform(-2.0, 2.0, (options.num_data, len(NAMES)))
    y = truth(x) + NOISE * generator.normal(size=(len(x), 1))
    likelihood = vb.likelihoods.LearnedNormal()
    network = vb.build_network(
        len(NAMES),
        hidden_units=(50,),
        make_posterior_fn=vb.posteriors.MeanFieldNormal(),
        make_prior_fn=vb.priors.ARDNormal(),
        estimator="local",
        seed=options.seed,
    )
    ensemble = vb.fit_ensemble(
        network, likelihood, x, y, num_members=4, epochs=options.epochs, kl_warmup=0.5, seed=options.seed
    )
    print(vb.parameter_report(network, num_data=len(x)))
    draw(options, x, ensemble, likelihood)
    print(f"Picture: {options.out}")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Command-line options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-data", type=int, default=400, help="rows (default %(default)s)")
    parser.add_argument("--epochs", type=int, default=1500, help="passes over the data (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=PLOTS / "features.png", help="default plots/features.png")
    return parser.parse_args(arguments)


def truth(x: np.ndarray) -> np.ndarray:
    """The true function, of a, b and c; d is irrelevant."""
    return (np.sin(2.0 * x[:, 0]) + 0.5 * x[:, 1] ** 2 - 0.6 * x[:, 2])[:, None]


def draw(
    options: argparse.Namespace, x: np.ndarray, ensemble: vb.Ensemble, likelihood: vb.likelihoods.LearnedNormal
) -> None:
    """Plot a panel for each feature, with the others at their medians, and two of the training."""
    figure, axes = plt.subplots(2, 4, figsize=(10, 5.4), layout="constrained", height_ratios=(1.1, 1))
    for feature, (name, ax) in enumerate(zip(NAMES, axes[0], strict=True)):
        rows = vb.slice_along(x, feature, widen=0.25)
        predictive = vb.predict_bands(ensemble, rows, likelihood=likelihood, levels=(0.95,), seed=options.seed)
        vb.BandsDisplay(rows, predictive, feature=feature).plot(ax, mean=False)
        vb.BandsDisplay(rows, vb.predict_bands(ensemble, rows, seed=options.seed), feature=feature).plot(ax)
        ax.plot(rows[:, feature], truth(rows), color=INK, linestyle=(0, (1, 1.5)), linewidth=1.2, label="the truth")
        ax.axvspan(x[:, feature].min(), x[:, feature].max(), color="#F3F3F3", zorder=0, linewidth=0)
        ax.set(ylim=(-4.5, 7.5), xlabel=f"{name} (others at their median)", ylabel="y" if not feature else "")
        ax.get_legend().remove()
    handles, labels = axes[0, 0].get_legend_handles_labels()
    axes[0, 0].legend(handles, labels, frameon=False, fontsize=7, loc="upper left")
    grid = axes[1, 0].get_gridspec()
    for ax in axes[1]:
        ax.remove()
    whole, late = figure.add_subplot(grid[1, :2]), figure.add_subplot(grid[1, 2:])
    vb.TrainingDisplay(ensemble.history).plot(whole, log=True)
    whole.set_title("Training: the weight of the KL rises over the first half", fontsize=9, loc="left")
    vb.TrainingDisplay(ensemble.history).plot(late)
    losses = ensemble.history.history["loss"]
    late.set(xlim=(len(losses) // 2, len(losses)), ylim=(0.0, 1.3 * np.quantile(losses[len(losses) // 2 :], 0.99)))
    late.get_legend().remove()
    late.set_title("The second half, at full weight", fontsize=9, loc="left")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out, dpi=130)
    plt.close(figure)
    with Image.open(options.out) as image:
        image.convert("RGB").quantize(160, dither=Image.Dither.NONE).save(options.out, optimize=True)


if __name__ == "__main__":
    main()
