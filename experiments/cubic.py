"""From noisy y = x^3 to uncertainty bands: the whole line in one script.

python experiments/cubic.py
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
from rich import print

import varbump as vb

PLOTS = Path(__file__).resolve().parent.parent / "plots"
POSTERIORS = {"full": vb.posterior, "mean_field": vb.posteriors.MeanFieldNormal()}


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    x, y = vb.datasets.cubic(options.num_data, seed=options.seed)
    likelihood = vb.likelihoods.Normal(options.scale)
    network = vb.build_network(make_posterior_fn=POSTERIORS[options.posterior], seed=options.seed)
    history = vb.fit(network, likelihood, x, y, epochs=options.epochs, kl_warmup=options.kl_warmup, seed=options.seed)
    x_new = np.linspace(-2.5, 3.5, 601)
    f = vb.predict_f(network, x_new, num_draws=100, seed=options.seed)
    epistemic = vb.predict_bands(network, x_new, num_draws=2000, seed=options.seed)
    predictive = vb.predict_bands(
        network, x_new, likelihood=likelihood, levels=(0.95,), num_draws=2000, seed=options.seed
    )
    print(vb.parameter_report(network, num_data=options.num_data))
    print(summary(history, x_new, epistemic))
    draw(options, likelihood, (x, y), x_new, f, epistemic, predictive)
    print(f"Picture: {options.out}")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-data", type=int, default=5000, help="data points (default %(default)s)")
    parser.add_argument("--epochs", type=int, default=600, help="passes over the data (default %(default)s)")
    parser.add_argument("--posterior", choices=POSTERIORS, default="full", help="family (default %(default)s)")
    parser.add_argument("--scale", type=float, default=0.25, help="noise sd of the likelihood (default %(default)s)")
    parser.add_argument("--kl-warmup", type=float, default=0.1, help="fraction of the run (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=PLOTS / "cubic.png", help="picture (default plots/cubic.png)")
    return parser.parse_args(arguments)


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


def draw(
    options: argparse.Namespace,
    likelihood: vb.likelihoods.Normal,
    data: tuple[np.ndarray, np.ndarray],
    x: np.ndarray,
    f: np.ndarray,
    epistemic: vb.Bands,
    predictive: vb.Bands,
) -> None:
    """Data, mean, bands and 100 functions, beyond the data on both sides."""
    figure, ax = plt.subplots(figsize=(7.2, 4.4), layout="constrained")
    shown = slice(None, None, max(1, options.num_data // 1000))
    ax.plot(*(column[shown] for column in data), ".", color="#202020", markersize=1.5, alpha=0.5, label="data", zorder=2)
    vb.BandsDisplay(x, predictive, kind="predictive").plot(ax, mean=False)
    vb.FunctionsDisplay(x, f).plot(ax)
    vb.BandsDisplay(x, epistemic).plot(ax)
    ax.plot(x, x**3, color="#202020", linestyle=(0, (1, 1.5)), linewidth=1.2, label="$x^3$, the truth")
    ax.set(xlim=(x[0], x[-1]), ylim=(-22, 35))
    ax.set_title(f"{options.num_data:,} points of $x^3$ + noise, likelihood sd {likelihood.scale:g}", fontsize=10)
    ax.legend(frameon=False, loc="upper left", fontsize=8)
    inset = ax.inset_axes((0.60, 0.06, 0.38, 0.36))
    inset.plot(*data, ".", color="#202020", markersize=0.6, alpha=0.25)
    vb.BandsDisplay(x, predictive, kind="predictive").plot(inset, mean=False, xlabel="", ylabel="")
    vb.BandsDisplay(x, epistemic).plot(inset, xlabel="", ylabel="")
    inset.get_legend().remove()
    inset.set(xlim=vb.datasets.CUBIC_RANGE, ylim=(-2, 9))
    inset.tick_params(labelsize=7)
    inset.set_title("where the data are", fontsize=8)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out, dpi=140)
    plt.close(figure)


if __name__ == "__main__":
    main()
