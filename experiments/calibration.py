"""Are the intervals calibrated? One model learns the noise, another has too small a fixed scale.

python experiments/calibration.py
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import argparse
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import numpy as np
from rich import print

import varbump as vb

PLOTS = Path(__file__).resolve().parent.parent / "plots"
LEVEL = 0.95
GREEN = "#009E73"  # Okabe and Ito (2008)


def main(arguments: list[str] | None = None) -> None:
    """Train two models, score them on fresh points, recalibrate the worse one, and plot."""
    options = parse(arguments)
    x, y = vb.datasets.cubic(options.num_data, seed=options.seed)
    x_test, y_test = fresh(options.num_fresh, (options.seed, 1))
    x_validation, y_validation = fresh(options.num_fresh, (options.seed, 2))
    likelihoods = {
        "noise learned along x": vb.likelihoods.HeteroscedasticNormal(),
        f"noise scale fixed at {options.scale:g}": vb.likelihoods.Normal(options.scale),
    }
    evaluations = {}
    for name, likelihood in likelihoods.items():
        network = fitted(options, likelihood, x, y)
        evaluations[name] = vb.evaluate(network, x_test, y_test, likelihood=likelihood, seed=options.seed)
        print(f"[bold]{name}[/bold]", evaluations[name])
    recalibrated = vb.recalibrate(network, x_validation, y_validation, likelihood=likelihood, seed=options.seed)
    levels = evaluations[name].levels
    tails = [0.5 + sign * 0.5 * level for sign in (-1, 1) for level in levels]
    lower, upper = np.split(recalibrated.predict_quantiles(x_test, tails)[..., 0], 2, axis=1)
    mended = np.mean((lower <= y_test) & (y_test <= upper), axis=0)
    off = 100 * np.abs(mended - levels).max()
    print(f"Recalibrated on {options.num_fresh:,} other points: coverage is at most {off:.1f} points off.")
    draw(options, evaluations, mended, x_test)


def fresh(num: int, seed: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """New points from the same distribution."""
    generator = np.random.default_rng(seed)
    x = generator.uniform(*vb.datasets.CUBIC_RANGE, size=(num, 1))
    y = x**3 + vb.datasets.cubic_noise(x) * generator.standard_normal(x.shape)
    return x.astype("float32"), y.astype("float32")


def fitted(options: argparse.Namespace, likelihood: Any, x: np.ndarray, y: np.ndarray) -> Any:
    """One hidden layer of 32 units, mean field."""
    network = vb.build_network(
        hidden_units=(32,), likelihood=likelihood, make_posterior_fn=vb.posteriors.MeanFieldNormal(), seed=options.seed
    )
    vb.fit(network, likelihood, x, y, epochs=options.epochs, batch_size=32, seed=options.seed)
    return network


def draw(
    options: argparse.Namespace, evaluations: dict[str, vb.Evaluation], mended: np.ndarray, x_test: np.ndarray
) -> None:
    """Plot a row for each model: coverage by level, PIT, coverage by region."""
    figure, axes = plt.subplots(2, 3, figsize=(11.6, 7.0), layout="constrained", width_ratios=(1, 1, 1.15))
    displays = []
    for row, (name, evaluation) in zip(axes, evaluations.items(), strict=True):
        displays.append(vb.CalibrationDisplay(evaluation).plot(row[0]))
        vb.PITDisplay(evaluation).plot(row[1])
        color = displays[-1].line_.get_color()
        regions = vb.coverage_by_region(evaluation, x_test, level=LEVEL)
        vb.CoverageByRegionDisplay(regions).plot(row[2], color=color)
        verdict = "calibrated" if evaluation.calibrated else "not calibrated"
        row[0].set_title(f"{name}: {verdict}", fontsize=10, loc="left")
        row[1].set_title("PIT: where y falls in its predictive", fontsize=10, loc="left")
        row[2].set_title(f"Coverage of {100 * LEVEL:g} % intervals along x", fontsize=10, loc="left")
    ax = displays[-1].ax_
    levels = 100 * np.array(displays[-1].evaluation.levels)
    ax.plot(levels, 100 * mended, "D", color=GREEN, markersize=4, markerfacecolor="none", label="recalibrated")
    for column in axes.T[1:]:
        top = max(ax.get_ylim()[1] for ax in column)
        bottom = min(ax.get_ylim()[0] for ax in column)
        for ax in column:
            ax.set_ylim(bottom, top)
    for ax in axes.ravel():
        ax.legend(frameon=False, fontsize=8, loc=ax.get_legend()._loc)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out, dpi=110)
    plt.close(figure)
    print(f"Picture: {options.out}")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-data", type=int, default=5000, help="points to train on")
    parser.add_argument("--num-fresh", type=int, default=2000, help="points to score on, and as many to recalibrate on")
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--scale", type=float, default=0.12, help="fixed noise sd of the second model")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=PLOTS / "calibration.png")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
