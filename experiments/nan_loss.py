"""Why is my loss nan? A network that often fails, with each remedy alone and all together.

Stock TensorFlow Probability layers in Keras fit: three DenseVariational layers with a
full-covariance posterior, and a head that predicts the scale of the noise without a floor.

python experiments/nan_loss.py
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from rich.console import Console
from rich.table import Table

import varbump as vb

tfd, layers = tfp.distributions, tfp.layers
PLOTS = Path(__file__).resolve().parent.parent / "plots"


def stock_prior(kernel_size: int, bias_size: int = 0, dtype: Any = None) -> tf_keras.Model:
    """N(0, I)."""
    size = kernel_size + bias_size
    normal = tfd.MultivariateNormalDiag(loc=tf.zeros(size, dtype), scale_diag=tf.ones(size, dtype))
    return tf_keras.Sequential([layers.DistributionLambda(lambda _: normal)])


def stock_posterior(kernel_size: int, bias_size: int = 0, dtype: Any = None) -> tf_keras.Model:
    """Full covariance from a VariableLayer that starts at zero: every weight starts with sd softplus(0) = 0.69."""
    size = kernel_size + bias_size
    variables = layers.VariableLayer(layers.MultivariateNormalTriL.params_size(size), dtype=dtype)
    return tf_keras.Sequential([variables, layers.MultivariateNormalTriL(size)])


def raw_head(outputs: tf.Tensor) -> tfd.Distribution:
    """Mean and softplus scale, which in float32 is 0 below -104."""
    return tfd.Normal(outputs[..., :1], tf.nn.softplus(outputs[..., 1:]))


def floored_head(outputs: tf.Tensor) -> tfd.Distribution:
    """The same with a floor under the scale."""
    return tfd.Normal(outputs[..., :1], 1e-3 + tf.nn.softplus(outputs[..., 1:]))


def fixed_head(outputs: tf.Tensor) -> tfd.Distribution:
    """A fixed scale, not predicted."""
    return tfd.Normal(outputs, 1.0)


CASES: dict[str, tuple[Callable[..., Any], int, Callable[..., Any]]] = {
    "as in the question": (raw_head, 2, stock_posterior),
    "scale floor": (floored_head, 2, stock_posterior),
    "small starting sd": (raw_head, 2, vb.posterior),
    "floor + small sd": (floored_head, 2, vb.posterior),
    "fixed scale": (fixed_head, 1, stock_posterior),
    "fixed scale + small sd": (fixed_head, 1, vb.posterior),
}


class WatchedLoss(tf_keras.callbacks.Callback):
    """Negative log-likelihood that records the scale at every step, and names the step that did the damage.

    That is not the step at which the loss becomes nan. A scale of 1e-9 in one batch gives a loss of 1e18 that is still
    finite, a gradient of 1e20 whose square overflows in Adam, and nan weights one or two steps later.
    """

    def __init__(self, head: Callable[..., Any]) -> None:
        super().__init__()
        self.head, self.fault = head, ""
        self.seen = tf.Variable([1.0, 0.0])
        self.steps: list[tuple[float, float]] = []

    def nll(self, y: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """Return the nll of each observation, and record the smallest scale and the largest term of the step."""
        prediction = self.head(outputs)
        nll = -prediction.log_prob(y)
        self.seen.assign([tf.reduce_min(prediction.scale), tf.reduce_max(nll)])
        return nll

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Stop and name the culprit when the loss is not finite."""
        self.steps.append(tuple(self.seen.numpy()))
        if np.isfinite((logs or {})["loss"]):
            return
        recent = self.steps[-4:]
        culprit = int(np.nanargmin([scale for scale, _ in recent]))
        scale, largest = recent[culprit]
        step = len(self.steps) - len(recent) + culprit + 1
        self.fault = (
            f"the scale of the head: {scale:.0e} in step {step}, one nll of {largest:.0e}; nan from {len(self.steps)}"
        )
        self.model.stop_training = True


def main(arguments: list[str] | None = None) -> None:
    """Train each case and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-data", type=int, default=5000, help="data points (default %(default)s)")
    parser.add_argument("--epochs", type=int, default=6, help="passes over the data (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=PLOTS / "nan_loss.png", help="picture (default plots/nan_loss.png)")
    options = parser.parse_args(arguments)
    x, y = vb.datasets.cubic(options.num_data, seed=options.seed)
    table = Table(title=f"Loss of stock layers on {options.num_data:,} points, {options.epochs} epochs of Adam")
    for column in ("", "parameters", "first epoch", "last finite", "what went first"):
        table.add_column(column, justify="left" if column in ("", "what went first") else "right")
    curves = {}
    for name, case in CASES.items():
        losses, fault, size = train(case, x, y, options)
        finite = [loss for loss in losses if np.isfinite(loss)]
        row = [f"{finite[0]:.3g}", f"{finite[-1]:.3g}"] if finite else ["nan", "-"]
        table.add_row(name, f"{size:,}", *row, fault or "nothing: finite throughout")
        curves[name] = losses
    Console(width=120).print(table)
    draw(curves, options.out)
    print(f"Picture: {options.out}")


def train(case: Any, x: np.ndarray, y: np.ndarray, options: argparse.Namespace) -> tuple[list[float], str, int]:
    """Return losses by epoch, the first failure, and the number of trainable parameters."""
    head, num_outputs, posterior = case
    tf_keras.utils.set_random_seed(options.seed)
    shared = {"make_posterior_fn": posterior, "make_prior_fn": stock_prior, "kl_weight": 1 / len(x)}
    network = tf_keras.Sequential(
        [
            tf_keras.Input((1,)),
            layers.DenseVariational(16, activation="relu", **shared),
            layers.DenseVariational(16, activation="relu", **shared),
            layers.DenseVariational(num_outputs, **shared),
        ]
    )
    watched = WatchedLoss(head)
    network.compile(tf_keras.optimizers.Adam(), loss=watched.nll)
    history = network.fit(x, y, epochs=options.epochs, batch_size=32, verbose=0, callbacks=[watched])
    return history.history["loss"], watched.fault, network.count_params()


def draw(curves: dict[str, list[float]], out: Path) -> None:
    """Plot the loss by epoch for every case; a cross marks where it stops being finite."""
    figure, ax = plt.subplots(figsize=(7.2, 4.0), layout="constrained")
    colors = ["#D55E00", "#E69F00", "#CC79A7", "#009E73", "#56B4E9", "#0072B2"]
    styles = ["-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1))]
    for (name, losses), color, style in zip(curves.items(), colors, styles, strict=True):
        finite = [loss for loss in losses if np.isfinite(loss)]
        epochs = range(1, len(finite) + 1)
        died = len(finite) < len(losses)
        ax.plot(epochs, finite, color=color, linestyle=style, linewidth=1.6, label=name + (" (nan)" if died else ""))
        if died:
            ax.plot(len(finite) or 1, finite[-1] if finite else 1, "x", color=color, markersize=10, markeredgewidth=2.5)
    ax.set(yscale="log", xlabel="epoch", ylabel="loss, nats per observation")
    ax.set_title("Stock layers: the loss that becomes nan, and what keeps it finite", fontsize=10)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize=8.5)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=130)
    plt.close(figure)


if __name__ == "__main__":
    main()
