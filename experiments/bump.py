"""What does a bump look like? The function and its derivatives for several sigma and both supports, and an animation.

python experiments/bump.py
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
import tensorflow as tf
from matplotlib.animation import FuncAnimation, PillowWriter

import varbump as vb

PLOTS = Path(__file__).resolve().parent.parent / "plots"
SIGMAS = {
    0.25: ("#D55E00", "-"),
    0.6: ("#E69F00", "--"),
    1.0: ("#202020", "-."),
    2.0: ("#0072B2", ":"),
    5.0: ("#009E73", "-"),
}
X = np.linspace(-2.6, 2.6, 1601)


def main(arguments: list[str] | None = None) -> None:
    """Draw the picture and the animation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=51, help="frames of the animation (default %(default)s)")
    parser.add_argument("--out", type=Path, default=PLOTS / "bump.png", help="picture (default plots/bump.png)")
    options = parser.parse_args(arguments)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    still(options.out)
    moving = options.out.with_name("bump_sigma.gif")
    animation(options.frames, moving)
    print(f"Pictures: {options.out}, {moving}")


def derivatives(sigma: float, support: str) -> tuple[np.ndarray, ...]:
    """Function, derivative in x and derivative in sigma at X."""
    x, sigmas = tf.constant(X), tf.fill([len(X)], tf.constant(sigma, tf.float64))
    with tf.GradientTape() as tape:
        tape.watch([x, sigmas])
        value = vb.bump(x, sigmas, support)
    return tuple(part.numpy() for part in (value, *tape.gradient(value, [x, sigmas])))


def still(out: Path) -> None:
    """Plot function, derivative in x and derivative in sigma (rows) for both supports (columns)."""
    figure, axes = plt.subplots(3, 2, figsize=(7.2, 6.6), sharex=True, sharey="row", layout="constrained")
    rows = ("$f(x; \\sigma)$", "$\\partial f / \\partial x$", "$\\partial f / \\partial \\sigma$")
    titles = {
        "smooth": "smooth: $|x| < \\sqrt{\\sigma}$",
        "threshold": "threshold: $|x| < \\min(\\sigma, \\sqrt{\\sigma})$",
    }
    for column, (support, title) in enumerate(titles.items()):
        axes[0, column].set_title(title, fontsize=10)
        for sigma, (color, style) in SIGMAS.items():
            for row, part in enumerate(derivatives(sigma, support)):
                ax = axes[row, column]
                ax.plot(X, part, color=color, linestyle=style, linewidth=1.4, label=f"$\\sigma$ = {sigma:g}")
                ax.spines[["top", "right"]].set_visible(False)
                ax.grid(color="#EEEEEE", linewidth=0.6)
                axes[row, 0].set_ylabel(rows[row])
        axes[2, column].set_xlabel("x")
    axes[0, 0].set_yticks([0, 0.1, 0.2, 0.3, np.exp(-1)], ["0", "0.1", "0.2", "0.3", "1/e"])
    axes[0, 0].legend(frameon=False, fontsize=8, loc="upper left", handlelength=2.2)
    figure.savefig(out, dpi=120)
    plt.close(figure)


def animation(num_frames: int, out: Path) -> None:
    """Animate sigma from 0 to 5: function and derivative in sigma, with the edges of the support."""
    figure, (above, below) = plt.subplots(2, figsize=(4.8, 4.2), sharex=True, layout="constrained")
    (value,) = above.plot([], [], color="#0072B2", linewidth=1.8)
    (slope,) = below.plot([], [], color="#D55E00", linewidth=1.8)
    edges = [
        ax.axvline(side, color="#8C8C8C", linestyle="--", linewidth=1) for ax in (above, below) for side in (-1, 1)
    ]
    above.set(xlim=(X[0], X[-1]), ylim=(-0.02, 0.4), ylabel="$f(x; \\sigma)$")
    below.set(ylim=(-0.1, 2.2), ylabel="$\\partial f / \\partial \\sigma$", xlabel="x (dashed: edges of the support)")
    for ax in (above, below):
        ax.spines[["top", "right"]].set_visible(False)

    def frame(index: int) -> None:
        sigma = 5.0 * index / max(num_frames - 1, 1)
        f, _, d_sigma = derivatives(sigma, "smooth")
        value.set_data(X, f)
        slope.set_data(X, d_sigma)
        for line, side in zip(edges, (-1, 1, -1, 1), strict=True):
            line.set_xdata([side * np.sqrt(sigma)] * 2)
        above.set_title(f"$\\sigma$ = {sigma:.1f}", fontsize=11)

    FuncAnimation(figure, frame, frames=num_frames).save(out, writer=PillowWriter(fps=10), dpi=80)
    plt.close(figure)


if __name__ == "__main__":
    main()
