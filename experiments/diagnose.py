"""What went wrong, and what was learned? Gradients, parameters and weights in three pictures.

First the gradients of a model with four common faults, before training; then the parameters and weights of a network
trained on the cubic, with its health report.

python experiments/diagnose.py
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
import tensorflow as tf
import tf_keras
from rich.console import Console

import varbump as vb

PLOTS = Path(__file__).resolve().parent.parent / "plots"


class CirculatingBump(tf_keras.layers.Layer):
    """The popular trainable bump: sigma enters only a condition, or a branch that is unsafe."""

    def __init__(self, in_branch: bool, **options: Any) -> None:
        super().__init__(**options)
        self.in_branch = in_branch

    def build(self, input_shape: Any) -> None:
        """Create one sigma."""
        self.sigma = self.add_weight(name="sigma", shape=(), initializer=tf_keras.initializers.Constant(0.5))

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Apply the bump to each component."""
        squared_radius = self.sigma if self.in_branch else 1.0
        return tf.where(tf.abs(x) < self.sigma, tf.exp(-squared_radius / (squared_radius - x**2)), 0.0)


def main(arguments: list[str] | None = None) -> None:
    """Print three reports and draw three pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-data", type=int, default=1000, help="data points (default %(default)s)")
    parser.add_argument("--epochs", type=int, default=400, help="passes over the data (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=PLOTS / "gradients.png", help="first picture; others beside it")
    options = parser.parse_args(arguments)
    console = Console(width=110)
    tf_keras.utils.set_random_seed(options.seed)
    x, y = vb.datasets.cubic(options.num_data, seed=options.seed)

    gradients = vb.check_gradients(faulty(), np.append(x, [[0.7075]], 0), np.append(y, [[0.0]], 0), loss="mse")
    console.print(gradients)
    network = vb.build_network(hidden_units=(16, 16), likelihood=(likelihood := vb.likelihoods.LearnedNormal()), seed=0)
    vb.fit(network, likelihood, x, y, epochs=options.epochs, seed=options.seed, verbose=0)
    console.print(vb.health_report(network, likelihood, x, y))
    report = vb.parameter_report(network, num_data=len(x))

    folder = options.out.parent
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {
        options.out: (vb.GradientDisplay(gradients), "Before training: which weights get a gradient?"),
        folder / "parameters.png": (vb.ParameterDisplay(report), "How many parameters is that?"),
        folder / "weights.png": (vb.WeightsDisplay(vb.weight_summary(network)), "What have the weights learned?"),
    }
    for path, (display, title) in pictures.items():
        figure = display.plot().figure_
        figure.suptitle(title, fontsize=11)
        figure.savefig(path, dpi=110, pil_kwargs={"optimize": True})
        plt.close(figure)
        print(f"Picture: {path}")


def faulty() -> tf_keras.Model:
    """Build a dense network with a sigma behind a condition, one in an unsafe branch, a dead relu and a dead bump."""
    inputs = tf_keras.Input((1,))
    low = tf_keras.initializers.Constant(-50.0)
    parts = [
        tf_keras.layers.Dense(8, activation="relu", name="healthy")(inputs),
        CirculatingBump(in_branch=False, name="condition")(inputs),
        CirculatingBump(in_branch=True, name="unsafe_where")(inputs),
        tf_keras.layers.Dense(8, activation="relu", bias_initializer=low, name="dead_relu")(inputs),
        vb.layers.Bump(name="dead_bump")(inputs + 100.0),
    ]
    outputs = tf_keras.layers.Dense(1, name="output")(tf_keras.layers.Concatenate()(parts))
    return tf_keras.Model(inputs, outputs)


if __name__ == "__main__":
    main()
