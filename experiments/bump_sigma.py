"""Is the width of a bump learned? 594 fits: 99 sigmas, three ranges of inputs, two supports.

Each fit learns one sigma of 0.1, 0.2 ... 9.9 by least squares, from 100,000 points of the known bump and a start in
(0, 0.1). The 99 fits for a range and a support are one `varbump.layers.Bump` with a sigma for each feature. For
contrast, popular implementations of such a layer are trained too.

python experiments/bump_sigma.py
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import argparse
import time
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
import tf_keras
from rich.console import Console
from rich.table import Table

import varbump as vb

PLOTS = Path(__file__).resolve().parent.parent / "plots"
SIGMAS = np.arange(1, 100) / 10
RANGES = (1, 5, 20)
BATCH = 500
SUPPORTS = ("smooth", "threshold")


def main(arguments: list[str] | None = None) -> None:
    """Fit all, print a table, plot learned against true sigma."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-data", type=int, default=100_000, help="points per fit (default %(default)s)")
    parser.add_argument("--epochs", type=int, default=16, help="passes over them (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--out", type=Path, default=PLOTS / "bump_sigma.png", help="picture (default plots/bump_sigma.png)"
    )
    options = parser.parse_args(arguments)
    began = time.perf_counter()
    learned = {}
    table = Table(title=f"{len(SIGMAS) * 6} sigmas from {options.num_data:,} points each, started in (0, 0.1)")
    for column in ("inputs in", "support", "largest error", "within 1e-3", "nan", "seconds"):
        table.add_column(column, justify="right")
    for limit in RANGES:
        for support in SUPPORTS:
            start = time.perf_counter()
            learned[limit, support] = recover(limit, support, options)
            error = np.abs(learned[limit, support] - SIGMAS)
            counts = f"{np.sum(error < 1e-3)} of {len(SIGMAS)}", f"{np.sum(np.isnan(error))}"
            seconds = time.perf_counter() - start
            table.add_row(f"[-{limit}, {limit}]", support, f"{error.max():.1e}", *counts, f"{seconds:.1f}")
    total = time.perf_counter() - began
    console = Console(width=100)
    console.print(table)
    console.print(f"Total {total:.0f} s.\n")
    console.print(contrast(options))
    draw(learned, options.out)
    console.print(f"Picture: {options.out}")


def targets(x: np.ndarray, support: str) -> np.ndarray:
    """The known bumps, one column for each sigma, in double precision."""
    edge = np.minimum(SIGMAS, np.sqrt(SIGMAS)) if support == "threshold" else np.sqrt(SIGMAS)
    inside = np.abs(x) < edge
    gap = np.where(inside, SIGMAS - x**2, 1.0)
    return np.where(inside, np.exp(-SIGMAS / gap), 0.0)


def recover(limit: float, support: str, options: argparse.Namespace) -> np.ndarray:
    """Learned sigmas of 99 bumps, trained together."""
    x = np.random.default_rng(options.seed).uniform(-limit, limit, (options.num_data, 1)).astype(np.float32)
    bumps = vb.layers.Bump(
        support, shared=False, sigma_initializer=tf_keras.initializers.RandomUniform(1e-3, 0.1, seed=options.seed)
    )
    repeat = tf_keras.layers.Lambda(lambda column: tf.repeat(column, len(SIGMAS), axis=-1))
    model = tf_keras.Sequential([tf_keras.Input((1,)), repeat, bumps])
    steps = options.epochs * -(-options.num_data // BATCH)
    decay = tf_keras.optimizers.schedules.CosineDecay(0.03, steps)
    # The gradient falls by orders of magnitude from 0.05 to 9.9, so Adam has to forget its earlier size.
    optimizer = tf_keras.optimizers.Adam(decay, beta_2=0.9, epsilon=1e-10)
    vb.fit(
        model,
        vb.likelihoods.Normal(1e-3),  # a fixed scale means least squares
        x,
        targets(x.astype(float), support),
        epochs=options.epochs,
        batch_size=BATCH,
        optimizer=optimizer,
        kl_warmup=0.0,
        seed=options.seed,
        verbose=0,
    )
    return bumps.sigma.numpy().astype(float)


def naive(x: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
    """The popular layer."""
    return tf.where(tf.abs(x) < sigma, tf.exp(-sigma / (sigma - x**2)), 0.0)


def inner_where(x: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
    """The popular remedy: the input is replaced outside |x| < sigma, which is not the support."""
    inside = tf.abs(x) < sigma
    return tf.where(inside, tf.exp(-sigma / (sigma - tf.where(inside, x, 0.0) ** 2)), 0.0)


def ours(x: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
    """Ours, with the same support where possible."""
    return vb.bump(x, sigma, "threshold")


def contrast(options: argparse.Namespace) -> Table:
    """Train sigma for 3,000 steps of Adam from 0.05, for the popular layers and for ours."""
    layers = {"circulating": naive, "with inner where": inner_where, "varbump": ours}
    table = Table(title="Learned sigma after 3,000 steps of Adam on 2,000 points (nan: the fit is lost)")
    for column in ("inputs in", "true sigma", *layers):
        table.add_column(column, justify="right")
    for limit, sigma in [(0.1, 0.5), (1, 0.5), (2, 2.0), (5, 9.9)]:
        x = np.random.default_rng(options.seed).uniform(-limit, limit, 2000)
        inside = np.abs(x) < min(sigma, np.sqrt(sigma))
        y = np.where(inside, np.exp(-sigma / np.where(inside, sigma - x**2, 1.0)), 0.0)
        fits = [adam(layer, tf.constant(x, tf.float32), tf.constant(y, tf.float32)) for layer in layers.values()]
        table.add_row(f"[-{limit:g}, {limit:g}]", f"{sigma:g}", *(f"{fit:.4g}" for fit in fits))
    return table


def adam(layer: object, x: tf.Tensor, y: tf.Tensor) -> float:
    """Least squares with a constant learning rate."""
    sigma = tf.Variable(0.05)
    optimizer = tf_keras.optimizers.Adam(0.02, epsilon=1e-12)
    optimizer.build([sigma])

    @tf.function(jit_compile=True)
    def train() -> None:
        for _ in tf.range(3000):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(layer(x, sigma) - y))
            optimizer.apply_gradients([(tape.gradient(loss, sigma), sigma)])

    train()
    return float(sigma)


def draw(learned: dict[tuple[float, str], np.ndarray], out: Path) -> None:
    """Plot learned against true sigma and, below, the error on a logarithmic axis."""
    size = {"figsize": (7.2, 5.4), "height_ratios": (2, 1)}
    figure, (above, below) = plt.subplots(2, sharex=True, layout="constrained", **size)
    colors = {1: "#D55E00", 5: "#0072B2", 20: "#009E73"}
    markers = {"smooth": "o", "threshold": "x"}
    above.plot([0, 10], [0, 10], color="#8C8C8C", linewidth=1, label="learned = true")
    for (limit, support), values in learned.items():
        style = {"color": colors[limit], "marker": markers[support], "linestyle": "none", "fillstyle": "none"}
        label = f"inputs in [-{limit}, {limit}], {support}"
        above.plot(SIGMAS, values, markersize=4, label=label, **style)
        below.plot(SIGMAS, np.maximum(np.abs(values - SIGMAS), 1e-9), markersize=3.5, **style)
    below.axhline(1e-3, color="#202020", linestyle="--", linewidth=1)
    below.text(0.1, 1.2e-3, "0.001", fontsize=8, va="bottom")
    above.set(ylabel="learned sigma", title="The width of a bump, recovered from 100,000 points 594 times")
    above.title.set_fontsize(10)
    below.set(yscale="log", xlabel="true sigma", ylabel="absolute error", ylim=(5e-10, 1e-2))
    above.legend(frameon=False, fontsize=8)
    for ax in (above, below):
        ax.spines[["top", "right"]].set_visible(False)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    main()
