"""From noisy y = x^3 to uncertainty bands: the whole line in one script.

python experiments/cubic.py
python experiments/cubic.py --num-data 200 --settled --exact   # beside the bands of the exact posterior
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

INK = "#202020"
PLOTS = Path(__file__).resolve().parent.parent / "plots"
BUMPS = ("bump", "gaussian_bump")
POSTERIORS = {"full": vb.posterior, "mean_field": vb.posteriors.MeanFieldNormal()}


def main(arguments: list[str] | None = None) -> None:
    """Make data and network, train, draw functions, compute bands, plot."""
    options = parse(arguments)
    x, y = vb.datasets.cubic(options.num_data, seed=options.seed)
    likelihood = vb.likelihoods.Normal(options.scale)
    posterior = POSTERIORS[options.posterior]
    network = vb.build_network(activation=options.activation, make_posterior_fn=posterior, seed=options.seed)
    how: dict[str, Any] = {"epochs": options.epochs, "kl_warmup": options.kl_warmup}
    how = {} if options.settled else {**how, "batch_size": 64, "learning_rate": 0.02}
    history = vb.fit(network, likelihood, x, y, **how, seed=options.seed)
    x_new = np.linspace(-2.25, 3.25, 551)
    f = vb.predict_f(network, x_new, num_draws=100, seed=options.seed)
    epistemic = vb.predict_bands(network, x_new, num_draws=2000, seed=options.seed)
    predictive = vb.predict_bands(
        network, x_new, likelihood=likelihood, levels=(0.95,), num_draws=2000, seed=options.seed
    )
    exact = exact_bands(options, network, likelihood, (x, y), x_new) if options.exact else None
    print(vb.parameter_report(network, num_data=options.num_data))
    print(summary(history, x_new, epistemic))
    if exact is not None:
        print(compared(x_new, epistemic, exact))
    if options.activation in BUMPS:
        print(far_away(network, options.activation))
    draw(options, likelihood, (x, y), x_new, f, epistemic, predictive, exact)
    print(f"Picture: {options.out}")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Command-line options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-data", type=int, default=5000, help="data points (default %(default)s)")
    parser.add_argument("--epochs", type=int, default=500, help="passes over the data (default %(default)s)")
    parser.add_argument("--posterior", choices=POSTERIORS, default="full", help="family (default %(default)s)")
    activations = ("relu", "tanh", "gelu", *BUMPS)
    parser.add_argument("--activation", choices=activations, default="relu", help="default %(default)s")
    parser.add_argument("--scale", type=float, default=0.25, help="noise sd of the likelihood (default %(default)s)")
    parser.add_argument("--kl-warmup", type=float, default=0.1, help="fraction of the run (default %(default)s)")
    parser.add_argument("--settled", action="store_true", help="train until the fit has settled, whatever --epochs")
    parser.add_argument("--exact", action="store_true", help="also sample the exact posterior, and draw its bands")
    parser.add_argument("--num-draws", type=int, default=2000, help="of each chain, with --exact (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=PLOTS / "cubic.png", help="picture (default plots/cubic.png)")
    return parser.parse_args(arguments)


def exact_bands(
    options: argparse.Namespace,
    network: Any,
    likelihood: vb.likelihoods.Normal,
    data: tuple[np.ndarray, np.ndarray],
    x: np.ndarray,
) -> vb.Bands:
    """Bands of the exact posterior of this network, for which its q does not matter."""
    how = {"num_draws": options.num_draws, "x_test": x[::10], "max_minutes": 60, "seed": options.seed}
    draws = vb.sample_posterior(network, likelihood, *data, **how)
    print(draws)
    num_draws = min(2000, draws.num_chains * draws.num_draws)
    return vb.predict_bands(draws, x, levels=(0.95,), num_draws=num_draws, seed=options.seed)


def summary(history: vb.History, x: np.ndarray, bands: vb.Bands) -> str:
    """The numbers that the picture shows."""
    last = history.last("loss", "nll", "kl")
    inside = (x >= vb.datasets.CUBIC_RANGE[0]) & (x <= vb.datasets.CUBIC_RANGE[1])
    error = np.sqrt(np.mean((bands.mean[inside, 0] - x[inside] ** 3) ** 2))
    sd = np.median(bands.sd[inside, 0])
    far = {at: bands.sd[np.argmin(np.abs(x - at)), 0] / sd for at in (-2.0, 3.0)}
    return (
        f"Loss {last['loss']:.4f} nats per observation (nll {last['nll']:.4f}, KL {last['kl']:.1f} nats), "
        f"{history.steps_per_second:,.0f} steps a second.\n"
        f"In range the posterior mean is within {error:.3f} (RMS) of x^3, and the epistemic sd is {sd:.3f} (median); "
        f"it is {far[-2.0]:.1f} times that at x = -2 and {far[3.0]:.1f} times at x = 3."
    )


def compared(x: np.ndarray, bands: vb.Bands, exact: vb.Bands) -> str:
    """How far mean and sd are from those of the exact posterior."""
    inside = (x >= vb.datasets.CUBIC_RANGE[0]) & (x <= vb.datasets.CUBIC_RANGE[1])
    ratio = (bands.sd / exact.sd)[:, 0]
    error = np.mean((np.abs(bands.mean - exact.mean) / exact.sd)[inside, 0])
    left, right = (ratio[np.argmin(np.abs(x - at))] for at in (-2.0, 3.0))
    return (
        f"Among the data the mean is off by {error:.2f} sds of the exact posterior on average, and the sd is "
        f"{ratio[inside].mean():.2f} of the exact one, from {ratio[inside].min():.2f} to {ratio[inside].max():.2f}; "
        f"it is {left:.2f} of it at x = -2 and {right:.2f} at x = 3."
    )


def far_away(network: Any, activation: str) -> str:
    """Describe what a bump network does far from the data, and the alternatives."""
    sd = vb.predict_bands(network, np.array([-1e3, 1e3]), num_draws=2000, seed=0).sd[:, 0]
    return (
        f"Far from its centre a {activation} vanishes: far from the data nothing of x is left, and the network is "
        f"a constant that its later biases make, the last bias where there is one hidden layer. So the epistemic sd "
        f"tends to that of this constant, {sd[0]:.3f} at x = -1000 and {sd[1]:.3f} at x = 1000, and does not grow. "
        f"To have it grow, take an activation that does (relu); for a wider constant, a prior of larger scale."
    )


def draw(
    options: argparse.Namespace,
    likelihood: vb.likelihoods.Normal,
    data: tuple[np.ndarray, np.ndarray],
    x: np.ndarray,
    f: np.ndarray,
    epistemic: vb.Bands,
    predictive: vb.Bands,
    exact: vb.Bands | None,
) -> None:
    """Plot data, mean, bands and 100 functions, beyond the data on both sides, and below the sds."""
    figure, (ax, below) = plt.subplots(2, figsize=(7.2, 5.4), height_ratios=(3, 1.1), sharex=True, layout="constrained")
    vb.BandsDisplay(x, predictive).plot(ax, mean=False)
    vb.FunctionsDisplay(x, f).plot(ax)
    vb.BandsDisplay(x, epistemic).plot(ax)
    shown = slice(None, None, max(1, options.num_data // 700))
    ax.plot(*(column[shown] for column in data), ".", color=INK, markersize=1.8, alpha=0.6, label="data", zorder=3)
    ax.plot(x, x**3, color=INK, linestyle=(0, (1, 1.5)), linewidth=1.2, label="$x^3$, the truth")
    ax.set(xlim=(x[0], x[-1]), ylim=(-11, 21), xlabel="")
    ax.set_title(f"{options.num_data:,} points of $x^3$ + noise; likelihood with sd {likelihood.scale:g}", fontsize=10)
    style: dict[str, Any] = {"color": INK, "linestyle": "--", "linewidth": 1.2}
    if exact is not None:
        ax.plot(x, exact.lower[0.95][:, 0], label="95 % epistemic, exact", **style)
        ax.plot(x, exact.upper[0.95][:, 0], **style)
    ax.legend(frameon=False, loc="upper left", fontsize=8.5)
    below.plot(x, epistemic.sd[:, 0], color="#0072B2", linewidth=1.8, label="epistemic sd")
    if exact is not None:
        below.plot(x, exact.sd[:, 0], label="of the exact posterior", **style)
    below.axhline(likelihood.scale, color="#D55E00", linestyle=":", linewidth=1.4, label="noise sd of the likelihood")
    below.set(yscale="log", xlabel="x", ylabel="sd, units of y")
    below.legend(frameon=False, loc="upper center", fontsize=8.5, ncols=3)
    below.spines[["top", "right"]].set_visible(False)
    for panel in (ax, below):
        panel.axvspan(*vb.datasets.CUBIC_RANGE, color="#F3F3F3", zorder=0, linewidth=0)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out, dpi=130)
    plt.close(figure)


if __name__ == "__main__":
    main()
