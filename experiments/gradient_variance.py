"""How noisy is the gradient of each estimator, and what does it cost? Variance times CPU time.

A family is fitted to the cubic for a while; its weights are then copied to a network for each estimator. The variance
of the gradient has two parts, var = E[var(g | batch)] + var(E[g | batch]): the first is due to the draws, and depends
on the estimator, the second is due to the batch, and is the same for all. Both are traces of the covariance, over the
means (loc) and over everything else (scale: diagonals, directions and triangles).

All estimators have the same ELBO, so their mean gradients must agree: for each parameter, z is the difference from
"shared" with one draw, in units of its Monte Carlo error. A weight behind a unit that seldom fires has nearly all of
its variance in one or two batches; if few draws hit them, its error is underestimated and its z too large.

python experiments/gradient_variance.py
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import argparse
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

import varbump as vb
from varbump.core.random import standard_normal
from varbump.forward.programs import compiled
from varbump.forward.stateless import all_variables, key
from varbump.inference.vi.loss import Batch, NetworkLoss

PLOTS = Path(__file__).resolve().parent.parent / "plots"
NUM_DATA, BATCH, SCALE = 5000, 32, 0.25
DRAWS = (1, 4)
TIMED = 20  # runs of an epoch
FAMILIES = {
    "MeanFieldNormal": (vb.posteriors.MeanFieldNormal(), ("shared", "local", "flipout")),
    "LowRankNormal": (vb.posteriors.LowRankNormal(), ("shared", "local", "flipout")),
    "FullCovarianceNormal": (vb.posteriors.FullCovarianceNormal(), ("shared", "flipout")),
    "JointNormal": (vb.posteriors.JointNormal(), ("shared", "flipout")),
}
Run = tuple[str, int]
"""An estimator, and its number of draws per step."""


class Moments(NamedTuple):
    """Moments of the gradient over the draws, by batch, (B, P)."""

    mean: np.ndarray
    variance: np.ndarray


def main(arguments: list[str] | None = None) -> None:
    """Measure all families and write the table."""
    options = parse(arguments)
    lines = [
        f"`python experiments/gradient_variance.py --epochs {options.epochs} --batches {options.batches} "
        f"--repeats {options.repeats}`, seed {options.seed}.",
        "",
        f"Cubic, {NUM_DATA:,} points, network 1-16-16-1, batches of {BATCH}, after {options.epochs} epochs; "
        f"{options.repeats} gradients at each of {options.batches} batches. Variances are traces of the covariance, in "
        'units of that of "shared" with one draw a step at a fixed batch, ± their standard error; "with the '
        'batch" adds the variance of the batches to both. Microseconds are CPU time of a step of training, the least '
        f"of {TIMED} runs. z: mean gradient against that of the first row, parameter by parameter; weights behind "
        "units that seldom fire have a heavier tail than a normal.",
        "",
    ]
    for family in options.families:
        rows = table(family, options)
        print("\n".join(rows), flush=True)
        lines += [*rows, ""]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text("\n".join(lines))
    print(f"Table: {options.out}")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Command-line options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES), help="default: all")
    parser.add_argument("--draws", nargs="+", type=int, default=DRAWS, help="draws per step, 1 first (default 1 and 4)")
    parser.add_argument("--epochs", type=int, default=40, help="epochs of the initial fit (default %(default)s)")
    parser.add_argument("--batches", type=int, default=30, help="batches to take gradients at (default %(default)s)")
    parser.add_argument("--repeats", type=int, default=100, help="gradients at each batch (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    out = PLOTS / "gradient_variance.md"
    parser.add_argument("--out", type=Path, default=out, help="table (default plots/gradient_variance.md)")
    return parser.parse_args(arguments)


def table(family: str, options: argparse.Namespace) -> list[str]:
    """Markdown rows of one family."""
    _, estimators = FAMILIES[family]
    fitted = network_of(family, "shared", options.seed)
    x, y = vb.datasets.cubic(NUM_DATA, seed=options.seed)
    likelihood = vb.likelihoods.Normal(SCALE)
    vb.fit(fitted, likelihood, x, y, epochs=options.epochs, batch_size=BATCH, seed=options.seed, verbose=0)
    runs: dict[Run, Moments] = {}
    times: dict[Run, float] = {}
    for run in [(estimator, draws) for draws in options.draws for estimator in estimators]:
        network = network_of(family, run[0], options.seed)
        for variable, value in zip(network.variables, fitted.variables, strict=True):
            variable.assign(value)
        runs[run] = moments(network, run[1], options, len(runs))
        times[run] = microseconds(network, run[1], options)
    groups = {"loc": is_loc(fitted), "scale": ~is_loc(fitted)}
    first = runs["shared", 1]
    batch = {
        name: np.mean([between(run, group, options.repeats) for run in runs.values()]) for name, group in groups.items()
    }
    unit = {name: within(first, group).mean() for name, group in groups.items()}
    head = ["estimator", "draws", "loc", "scale", "loc, with the batch", "scale, with the batch", "microseconds a step"]
    lines = [
        f"{family}, {fitted.count_params():,} parameters; the variance of the batches is "
        + " and ".join(f"{batch[name] / unit[name]:.3g} ({name})" for name in groups)
        + ":",
        "",
        "| " + " | ".join([*head, "mean of z^2", "largest z"]) + " |",
        "|---|" + "---:|" * (len(head) + 1),
    ]
    for run, found in runs.items():
        ratios = {name: ratio(within(found, group), within(first, group)) for name, group in groups.items()}
        cells = [run[0], str(run[1]), *(f"{value:.3f} ± {error:.3f}" for value, error in ratios.values())]
        for name in groups:
            cells.append(f"{(ratios[name][0] * unit[name] + batch[name]) / (unit[name] + batch[name]):.3f}")
        cells.append(f"{times[run]:.0f}")
        cells += ["", ""] if found is first else [f"{value:.2f}" for value in agreement(found, first, options.repeats)]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def network_of(family: str, estimator: str, seed: int) -> Any:
    """Build the network, untrained."""
    return vb.build_network(make_posterior_fn=FAMILIES[family][0], estimator=estimator, seed=seed)


def microseconds(network: Any, num_samples: int, options: argparse.Namespace) -> float:
    """CPU time of a step in the compiled loop of `varbump.fit`, without compilation; the machine may be shared."""
    data = vb.datasets.cubic(NUM_DATA, seed=options.seed)
    how = {"batch_size": BATCH, "learning_rate": 1e-6, "num_samples": num_samples, "seed": options.seed, "verbose": 0}
    took: dict[int, list[float]] = {1: [], 1 + TIMED: []}
    for epochs in (1, *took, *took, *took):  # the first compiles, for any length
        began = time.process_time()
        vb.fit(network, vb.likelihoods.Normal(SCALE), *data, epochs=epochs, **how)
        took[epochs].append(time.process_time() - began)
    return 1e6 * (min(took[1 + TIMED]) - min(took[1])) / TIMED / -(-NUM_DATA // BATCH)


def moments(network: Any, num_samples: int, options: argparse.Namespace, stream: int) -> Moments:
    """Mean and variance of the gradient at each batch; all estimators see the same batches, but not the same draws."""
    x, y = vb.datasets.cubic(NUM_DATA, seed=options.seed)
    likelihood = vb.likelihoods.Normal(SCALE)
    step = NetworkLoss(network, likelihood, (1,), num_samples)
    size = step.count_noise([BATCH, 1])
    variables = all_variables(network, likelihood)
    num_parameters = sum(int(np.prod(v.shape)) for v in step.trainable)

    def at_a_batch(x: Any, y: Any, seed: Any, state: Any) -> tuple[tf.Tensor, tf.Tensor]:
        values = {key(v): value for v, value in zip(variables, state, strict=True)}
        noise = standard_normal([options.repeats, size], seed, step.dtype)

        def add(i: Any, total: Any, squares: Any) -> tuple[Any, ...]:
            own = seed + tf.stack([1 + i, 0])
            gradients, _ = step.gradient(values, Batch(x, y, None), noise[i], own, 1.0 / NUM_DATA)
            g = tf.cast(tf.concat([tf.reshape(g, [-1]) for g in gradients], 0), tf.float64)
            return i + 1, total + g, squares + g**2

        zeros = tf.zeros([num_parameters], tf.float64)
        _, total, squares = tf.while_loop(lambda i, *_: i < options.repeats, add, (0, zeros, zeros))
        mean = total / options.repeats
        return mean, tf.maximum(squares / options.repeats - mean**2, 0.0) * options.repeats / (options.repeats - 1)

    run, state = compiled(at_a_batch), [tf.constant(v) for v in variables]
    rows = np.random.default_rng(options.seed)
    found = []
    for batch in range(options.batches):
        chosen = rows.choice(NUM_DATA, BATCH, replace=False)
        seed = np.random.SeedSequence((options.seed, stream, batch)).generate_state(2).view(np.int32)
        found.append(
            [value.numpy() for value in run(tf.constant(x[chosen]), tf.constant(y[chosen]), tf.constant(seed), state)]
        )
    return Moments(*(np.stack(values) for values in zip(*found, strict=True)))


def is_loc(network: Any) -> np.ndarray:
    """Which of the parameters (P,) are means."""
    return np.concatenate([np.full(int(np.prod(v.shape)), "loc" in v.name) for v in network.trainable_variables])


def within(run: Moments, group: np.ndarray) -> np.ndarray:
    """Trace of the covariance at each batch, over a group of parameters."""
    return run.variance[:, group].sum(1)


def between(run: Moments, group: np.ndarray, repeats: int) -> float:
    """Trace of the covariance over batches of the expected gradient: that of the means, minus their MC error."""
    return run.mean[:, group].var(0, ddof=1).sum() - within(run, group).mean() / repeats


def ratio(values: np.ndarray, units: np.ndarray) -> tuple[float, float]:
    """Ratio of the means over batches, and its standard error by the delta method, batches paired."""
    value = values.mean() / units.mean()
    return value, np.std(values - value * units, ddof=1) / (np.sqrt(len(values)) * units.mean())


def agreement(run: Moments, first: Moments, repeats: int) -> tuple[float, float]:
    """Mean of z^2 over the parameters, about 1 where the mean gradients agree, and the largest z."""
    difference = run.mean.mean(0) - first.mean.mean(0)
    count = repeats * len(run.mean)
    error = np.sqrt((run.variance.mean(0) + first.variance.mean(0)) / count)
    # behind units that no input reaches nothing is random: terms of KL / N cancel up to float32 rounding
    rounding = 1e-6 * (1 / NUM_DATA + np.abs(first.mean.mean(0)))
    z = difference / (error + rounding)
    return float(np.mean(z**2)), float(np.abs(z).max())


if __name__ == "__main__":
    main()
