"""Time a training step and 100 draws of the function, side by side with other libraries.

Data, network, batch size and number of steps are the same for all; compilation and warm-up are not counted; times are
medians of repeats. The table goes to plots/benchmark.md. NumPyro takes part if installed: pip install "varbump[peers]".

python experiments/benchmark.py
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import argparse
import gc
import platform
import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

import varbump as vb

try:
    import jax
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist
    from numpyro.infer import MCMC, NUTS, SVI, Predictive, Trace_ELBO
    from numpyro.infer.autoguide import AutoMultivariateNormal, AutoNormal
except ImportError:
    numpyro = None

tfd, layers = tfp.distributions, tfp.layers
PLOTS = Path(__file__).resolve().parent.parent / "plots"
NUM_DATA, BATCH, HIDDEN, SCALE = 5000, 32, (16, 16), 0.25
WARM_UP = 2  # epochs
FAMILIES = {"mean field": vb.posteriors.MeanFieldNormal(), "full covariance": vb.posterior}


def main(arguments: list[str] | None = None) -> None:
    """Time all contenders and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=10, help="epochs per repeat (default %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="timed repeats (default %(default)s)")
    parser.add_argument("--num-draws", type=int, default=100)
    parser.add_argument("--num-sampled", type=int, default=500, help="draws of each Markov chain (default %(default)s)")
    parser.add_argument("--out", type=Path, default=PLOTS / "benchmark.md", help="table (default plots/benchmark.md)")
    options = parser.parse_args(arguments)
    x, y = vb.datasets.cubic(NUM_DATA)
    lines = [
        f"Cubic data, {NUM_DATA:,} points, network 1-16-16-1, batches of {BATCH}, Adam; medians of {options.repeats} "
        f"repeats of {options.epochs} epochs after warm-up; {os.cpu_count()} cores, TensorFlow {tf.__version__}, "
        f"TensorFlow Probability {tfp.__version__}, {f'NumPyro {numpyro.__version__}, ' if numpyro else ''}"
        f"Python {platform.python_version()}. Written by `python experiments/benchmark.py`.",
        "",
    ]
    lines += sharing(x, y, options)
    for family in FAMILIES:
        lines += table(f"Training, {family}", "microseconds a step", training(family, x, y, options))
        guards = guard(family, x, y, options)
        lines += table(f"varbump.NanGuard in Keras fit, stock TFP, {family}", "microseconds a step", guards)
    lines += table("Training, ensembles of mean field", "microseconds a step", ensembles(x, y, options))
    for family in FAMILIES:
        title = f"{options.num_draws} draws at {NUM_DATA:,} points, {family}"
        lines += table(title, "milliseconds", prediction(family, x, y, options))
    lines += table("Forward and backward on 1,000,000 float32 values, compiled", "milliseconds", activations(options))
    lines += sampling(options)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text("\n".join(lines))
    print("\n".join(lines))


def training(family: str, x: np.ndarray, y: np.ndarray, options: argparse.Namespace) -> dict[str, float]:
    """Microseconds per step of each contender."""
    steps = -(-NUM_DATA // BATCH)
    runs: dict[str, Callable[[], Any]] = {"varbump.fit": ours(family, x, y, options.epochs)}
    for name, per_execution in [("stock TFP, Keras fit", 1), (f"stock TFP, steps_per_execution={steps}", steps)]:
        model = stock_model(family)
        model.compile(tf_keras.optimizers.Adam(), vb.likelihoods.Normal(SCALE), steps_per_execution=per_execution)
        runs[name] = lambda model=model: model.fit(x, y, epochs=options.epochs, batch_size=BATCH, verbose=0)
    result = {name: value / (options.epochs * steps) * 1e6 for name, value in medians(runs, options.repeats).items()}
    if numpyro:
        for name, model in [("plate with subsample_size", numpyro_plate), ("rows by hand", numpyro_by_hand)]:
            step = numpyro_step(family, model, x, y)
            values = [step() * 1e6 for _ in range(options.repeats)]
            result[f"NumPyro svi.run, {name}"] = statistics.median(values)
    return result


def guard(family: str, x: np.ndarray, y: np.ndarray, options: argparse.Namespace) -> dict[str, float]:
    """Microseconds per step of stock layers without and with the guard, which varbump.fit has built in.

    The speed of a machine drifts by more than the few per cent in question, so both fits run at the same time and take
    turns, epoch by epoch.
    """
    clocks = [TurnClock(turn) for turn in TurnClock.turns(2)]
    fits = []
    for clock, callbacks in zip(clocks, ([], [vb.NanGuard()]), strict=True):
        model = stock_model(family)
        model.compile(tf_keras.optimizers.Adam(), vb.likelihoods.Normal(SCALE))
        callbacks = [*callbacks, clock]
        epochs = WARM_UP + options.repeats * options.epochs
        fits.append(partial(model.fit, x, y, batch_size=BATCH, epochs=epochs, verbose=0, callbacks=callbacks))
    with ThreadPoolExecutor(len(fits)) as threads:
        for fit in [threads.submit(clock.run, fit) for clock, fit in zip(clocks, fits, strict=True)]:
            fit.result()
    steps = -(-NUM_DATA // BATCH)
    times = [statistics.median(clock.seconds[WARM_UP:]) / steps * 1e6 for clock in clocks]
    return dict(zip(("without", "with NanGuard"), times, strict=True))


class TurnClock(tf_keras.callbacks.Callback):
    """Seconds of each epoch of a fit that takes turns with others."""

    def __init__(self, turn: tuple[threading.Semaphore, threading.Semaphore]) -> None:
        super().__init__()
        self._mine, self._next = turn
        self.seconds: list[float] = []

    @staticmethod
    def turns(number: int) -> list[tuple[threading.Semaphore, threading.Semaphore]]:
        """Make, for each fit, the semaphore it waits for and the one it releases; the first fit may start."""
        waits = [threading.Semaphore(int(i == 0)) for i in range(number)]
        return list(zip(waits, [*waits[1:], waits[0]], strict=True))

    def run(self, fit: Callable[[], Any]) -> None:
        """Run the whole fit; if it fails, the others continue."""
        try:
            fit()
        finally:
            self._next.release(10_000)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Wait for the turn, and start the clock."""
        self._mine.acquire()
        self.began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Store the time of the epoch, and pass the turn on."""
        self.seconds.append(time.perf_counter() - self.began)
        self._next.release()


def ensembles(x: np.ndarray, y: np.ndarray, options: argparse.Namespace) -> dict[str, float]:
    """Microseconds per step of one network, and of several trained together."""
    steps = -(-NUM_DATA // BATCH)
    sizes = {"varbump.fit, 1 network": 1, "varbump.fit_ensemble, 4": 4, "varbump.fit_ensemble, 8": 8}
    runs = {name: ours("mean field", x, y, options.epochs, num_members) for name, num_members in sizes.items()}
    return {name: value / (options.epochs * steps) * 1e6 for name, value in medians(runs, options.repeats).items()}


def activations(options: argparse.Namespace) -> dict[str, float]:
    """Milliseconds for value and gradients of the Bump layer, and of a common activation."""
    x = tf.random.stateless_normal([1_000_000], (0, 1))
    bump = vb.layers.Bump()
    bump(x[:1])

    def forward_and_backward(function: Callable[..., tf.Tensor], weights: list[tf.Variable]) -> Callable[[], Any]:
        @tf.function(jit_compile=True)
        def run(x: tf.Tensor) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(x)
                outputs = function(x)
            return outputs, tape.gradient(outputs, [x, *weights], output_gradients=x)

        return lambda: run(x)[0].numpy()

    runs = {
        "varbump.layers.Bump": forward_and_backward(bump, bump.trainable_weights),
        "tf.nn.gelu": forward_and_backward(tf.nn.gelu, []),
    }
    return {name: value * 1e3 for name, value in medians(runs, options.repeats).items()}


def medians(runs: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median seconds of each run after warm-up; each one runs alone for a while, as in practice."""
    times = {}
    for name, run in runs.items():
        run()
        began = seconds(run)
        count = repeats if began < 1.0 else 1
        times[name] = statistics.median([*(seconds(run) for _ in range(count * (10 if began < 0.05 else 1))), began])
    return times


def ours(family: str, x: np.ndarray, y: np.ndarray, epochs: int, num_members: int = 1) -> Callable[[], None]:
    """The loop of varbump.fit, without the checks and the start before it, so that only epochs are timed."""
    from varbump.data.batches import BatchPlan
    from varbump.inference.vi.loop import Data, Loop
    from varbump.inference.vi.loss import NetworkLoss
    from varbump.inference.vi.members import Members
    from varbump.inference.vi.optimizers import make_optimizer

    network = vb.build_network(hidden_units=HIDDEN, make_posterior_fn=FAMILIES[family], seed=0)
    loss, plan = NetworkLoss(network, vb.likelihoods.Normal(SCALE), x.shape[1:]), BatchPlan(NUM_DATA, BATCH)
    x, y = np.asarray(x, np.float32), np.asarray(y, np.float32)
    data = Data(plan.padded(x), plan.padded(y), None, plan.row_weights.astype(np.float32), None)
    optimizer = make_optimizer(None, loss.trainable, num_members)
    loop = Loop(Members(loss, num_members), optimizer, data, plan, NUM_DATA, None)
    state = loop.start([np.stack([v.numpy()] * num_members) for v in loss.trainable])
    controls = np.ones((epochs, plan.steps, 2), np.float32)
    controls[..., 0] = 0.001
    calls = [range(start, min(start + loop.epochs_a_call, epochs)) for start in range(0, epochs, loop.epochs_a_call)]

    def run() -> None:
        after = state
        for chunk in calls:
            after, _ = loop.run(after, 0, chunk, controls[chunk.start : chunk.stop], 0)

    return run


def sharing(x: np.ndarray, y: np.ndarray, options: argparse.Namespace) -> list[str]:
    """What a second fit and a first prediction cost, once a network of the same structure has been compiled."""

    def fit(seed: int, num_data: int) -> tuple[Any, float]:
        network = vb.build_network(hidden_units=HIDDEN, make_posterior_fn=FAMILIES["mean field"], seed=seed)
        rows = np.random.default_rng(seed).permutation(NUM_DATA)[:num_data]
        began = time.perf_counter()
        history = vb.fit(network, vb.likelihoods.Normal(SCALE), x[rows], y[rows], epochs=20, seed=seed, verbose=0)
        return network, time.perf_counter() - began - history.seconds

    def regress(seed: int, num_data: int) -> tuple[Any, float]:
        model = vb.VariationalRegressor(max_iter=10, random_state=seed)
        rows = np.random.default_rng(seed).permutation(NUM_DATA)[:num_data]
        began = time.perf_counter()
        model.fit(x[rows], y[rows, 0])
        return model, time.perf_counter() - began - model.history_.seconds

    vb.clear_programs()
    lines = ["| seconds without the steps | first | another | % |", "|---|---:|---:|---:|"]
    for name, run, predict in [
        ("varbump.fit, mean field", fit, lambda network: vb.predict_f(network, x, seed=0)),
        ("VariationalRegressor.fit", regress, lambda model: model.predict(x)),
    ]:
        first, *others = [run(seed, NUM_DATA - seed) for seed in range(1 + options.repeats)]
        predictions = [seconds(partial(predict, model)) for model, _ in (first, *others)]
        for what, values in ((name, [t for _, t in (first, *others)]), ("first prediction of it", predictions)):
            later = statistics.median(values[1:])
            lines.append(f"| {what} | {values[0]:.2f} | {later:.3f} | {100 * later / values[0]:.1f} |")
    return [*lines, "", *cross_validation(x, y), *memory(x, y)]


def cross_validation(x: np.ndarray, y: np.ndarray) -> list[str]:
    """Programs compiled for the training in 3-, 5- and 10-fold cross-validation of one table."""
    from sklearn.model_selection import cross_val_score

    vb.clear_programs()
    for folds in (3, 5, 10):
        cross_val_score(vb.VariationalRegressor(max_iter=2, random_state=0), x, y[:, 0], cv=folds)
    compiled = sum(kind == "train" for kind, *_ in vb.programs().rows)
    return [f"3-, 5- and 10-fold cross-validation of one table: {compiled} programs for 18 trainings.", ""]


def memory(x: np.ndarray, y: np.ndarray, num_fits: int = 60) -> list[str]:
    """What the process grows by from the tenth to the last of many fits and predictions of one structure."""
    status = Path("/proc/self/statm")
    if not status.exists():
        return []
    sizes = []
    for seed in range(num_fits):
        network = vb.build_network(hidden_units=HIDDEN, make_posterior_fn=FAMILIES["mean field"], seed=seed)
        vb.fit(network, vb.likelihoods.Normal(SCALE), x, y, epochs=2, seed=seed, verbose=0)
        vb.predict_f(network, x, seed=seed)
        gc.collect()
        sizes.append(int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20)
    return [f"Memory after {num_fits} fits and predictions of one structure, less that after ten: "
            f"{sizes[-1] - sizes[9]:+.0f} MB.", ""]  # fmt: skip


def stock_model(family: str) -> tf_keras.Model:
    """The same network made of the stock layer, with the factories of its documentation."""

    def prior(kernel_size: int, bias_size: int = 0, dtype: Any = None) -> tf_keras.Model:
        size = kernel_size + bias_size
        normal = tfd.MultivariateNormalDiag(loc=tf.zeros(size, dtype), scale_diag=tf.ones(size, dtype))
        return tf_keras.Sequential([layers.DistributionLambda(lambda _: normal)])

    def full(kernel_size: int, bias_size: int = 0, dtype: Any = None) -> tf_keras.Model:
        size = kernel_size + bias_size
        variables = layers.VariableLayer(layers.MultivariateNormalTriL.params_size(size), dtype=dtype)
        return tf_keras.Sequential([variables, layers.MultivariateNormalTriL(size)])

    def mean_field(kernel_size: int, bias_size: int = 0, dtype: Any = None) -> tf_keras.Model:
        size = kernel_size + bias_size

        def normal(t: tf.Tensor) -> tfd.Distribution:
            return tfd.MultivariateNormalDiag(t[..., :size], 1e-5 + tf.nn.softplus(t[..., size:] - 3.0))

        return tf_keras.Sequential([layers.VariableLayer(2 * size, dtype=dtype), layers.DistributionLambda(normal)])

    tf_keras.utils.set_random_seed(0)
    posterior = full if family == "full covariance" else mean_field
    shared = {"make_posterior_fn": posterior, "make_prior_fn": prior, "kl_weight": 1 / NUM_DATA, "kl_use_exact": True}
    hidden = [layers.DenseVariational(units, activation="relu", **shared) for units in HIDDEN]
    return tf_keras.Sequential([tf_keras.Input((1,)), *hidden, layers.DenseVariational(1, **shared)])


def numpyro_network(x: Any) -> Any:
    """The same network in NumPyro: one draw of its weights, and f (N,)."""
    widths, h = (1, *HIDDEN, 1), x
    for i, (a, b) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
        kernel = numpyro.sample(f"kernel_{i}", dist.Normal(jnp.zeros((a, b)), 1.0).to_event(2))
        bias = numpyro.sample(f"bias_{i}", dist.Normal(jnp.zeros(b), 1.0).to_event(1))
        h = h @ kernel + bias
        h = jax.nn.relu(h) if i < len(HIDDEN) else h
    return h[:, 0]


def numpyro_plate(x: Any, y: Any) -> None:
    """Training as documented by NumPyro: a plate that draws its minibatch without replacement."""
    with numpyro.plate("data", NUM_DATA, subsample_size=BATCH) as rows:
        pass
    f = numpyro_network(x[rows])
    with numpyro.handlers.scale(scale=NUM_DATA / BATCH):
        numpyro.sample("y", dist.Normal(f, SCALE).to_event(1), obs=y[rows, 0])


def numpyro_by_hand(x: Any, y: Any) -> None:
    """The same with rows drawn with replacement, which avoids a permutation of the data at each step."""
    rows = jax.random.randint(numpyro.prng_key(), (BATCH,), 0, NUM_DATA)
    f = numpyro_network(x[rows])
    with numpyro.handlers.scale(scale=NUM_DATA / BATCH):
        numpyro.sample("y", dist.Normal(f, SCALE).to_event(1), obs=y[rows, 0])


def numpyro_function(x: Any) -> None:
    """Prediction: f at all rows."""
    numpyro.deterministic("f", numpyro_network(x))


def numpyro_svi(family: str, model: Callable[..., None]) -> Any:
    """SVI with the guide of the family; here full covariance is one normal over all weights."""
    guide = (AutoNormal if family == "mean field" else AutoMultivariateNormal)(model, init_scale=0.05)
    return SVI(model, guide, numpyro.optim.Adam(0.001), Trace_ELBO())


def numpyro_step(family: str, model: Callable[..., None], x: np.ndarray, y: np.ndarray) -> Callable[[], float]:
    """Seconds per step without compilation: svi.run compiles at each call, so two run lengths are subtracted."""
    svi, key, data = numpyro_svi(family, model), jax.random.PRNGKey(0), (jnp.asarray(x), jnp.asarray(y))
    short, long = (2_000, 32_000) if family == "mean field" else (1_000, 5_000)

    def run(steps: int) -> float:
        return seconds(lambda: jax.block_until_ready(svi.run(key, steps, *data, progress_bar=False).params))

    return lambda: (run(long) - run(short)) / (long - short)


def prediction(family: str, x: np.ndarray, y: np.ndarray, options: argparse.Namespace) -> dict[str, float]:
    """Milliseconds for all draws, by contender, with results in NumPy."""
    draws, stock = options.num_draws, stock_model(family)
    network = vb.build_network(hidden_units=HIDDEN, make_posterior_fn=FAMILIES[family], seed=0)
    compiled = tf.function(
        lambda data: tf.map_fn(lambda _: stock(data), tf.range(draws), fn_output_signature=tf.float32)
    )
    data = tf.constant(x)
    runs: dict[str, Callable[[], Any]] = {
        "varbump.predict_f": lambda: vb.predict_f(network, x, num_draws=draws, seed=0),
        "[model(x) for _ in range(100)]": lambda: np.array([stock(x) for _ in range(draws)]),
        "stock TFP inside tf.function": lambda: compiled(data).numpy(),
    }
    if numpyro:
        svi, key = numpyro_svi(family, numpyro_by_hand), jax.random.PRNGKey(0)
        params = svi.run(key, 10, jnp.asarray(x), jnp.asarray(y), progress_bar=False).params
        predictive = Predictive(numpyro_function, guide=svi.guide, params=params, num_samples=draws, return_sites=["f"])
        jitted, rows = jax.jit(predictive), jnp.asarray(x)
        runs["NumPyro Predictive"] = lambda: np.asarray(predictive(key, rows)["f"])
        runs["NumPyro Predictive, jitted"] = lambda: np.asarray(jitted(key, rows)["f"])
    return {name: value * 1e3 for name, value in medians(runs, options.repeats).items()}


def sampling(options: argparse.Namespace) -> list[str]:
    """Effective draws per second of exact samplers, in chains of equal length; compilation is not counted.

    Effective draws are those of f at the worst of a grid of points in the range of the data, over all four chains. The
    time includes warm-up and annealing, but not the fit at which sample_nuts starts.
    """
    from varbump.inference.mcmc.convergence import default_test_points, ess_of, rhat_of

    x, y = (a.astype(np.float32) for a in vb.datasets.cubic(200, seed=0, noise=0.3))
    num, likelihood, at = options.num_sampled, vb.likelihoods.Normal(0.3), default_test_points(x)
    inside = ((at >= x.min()) & (at <= x.max()))[:, 0]
    network = vb.build_network(hidden_units=HIDDEN, make_posterior_fn=FAMILIES["mean field"], seed=0)
    mine = vb.sample_posterior(network, likelihood, x, y, num_draws=num, seed=0, verbose=0)
    vb.fit(network, likelihood, x, y, epochs=max(1, 2 * num), kl_warmup=0.0, seed=0, verbose=0)
    nuts = vb.sample_nuts(network, likelihood, x, y, num_draws=num, seed=0, max_minutes=1000, verbose=0)
    rows = [
        ("varbump.sample_posterior", mine.ess[inside, 0], mine.rhat[inside, 0], mine.seconds),
        ("varbump.sample_nuts", nuts.ess[inside, 0], nuts.rhat[inside, 0], nuts.seconds),
    ]
    if numpyro:

        def model() -> None:
            numpyro.sample("y", dist.Normal(numpyro_network(jnp.asarray(x)), 0.3).to_event(1), obs=jnp.asarray(y[:, 0]))

        chains = MCMC(NUTS(model), num_warmup=200, num_samples=num, num_chains=4, chain_method="sequential",
                      progress_bar=False)  # fmt: skip
        key = jax.random.PRNGKey(0)
        chains.run(key)  # compiles
        took = seconds(lambda: jax.block_until_ready((chains.run(key), chains.get_samples())[1]))
        drawn = Predictive(numpyro_function, chains.get_samples())(key, jnp.asarray(at))["f"]
        f = np.moveaxis(np.asarray(drawn).reshape(4, num, -1), 0, 1)
        rows.append(("NumPyro NUTS, started at random", ess_of(f)[inside], rhat_of(f)[inside], took))
    lines = [
        f"| 200 points, 4 chains of {num:,} draws | R-hat of f, worst | effective draws, worst | seconds | a second |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, ess, rhat, took in rows:
        numbers = f"{rhat.max():.3f} | {ess.min():,.0f} | {took:.1f} | {figure(ess.min() / took)}"
        lines.append(f"| {name} | {numbers} |")
    return [*lines, ""]


def seconds(run: Callable[[], Any]) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def table(title: str, unit: str, values: dict[str, float]) -> list[str]:
    """Markdown rows, with the ratio of each time to that of varbump."""
    ours = next(iter(values.values()))
    rows = [f"| {title} | {unit} | times varbump |", "|---|---:|---:|"]
    rows += [f"| {name} | {figure(value)} | {figure(value / ours)} |" for name, value in values.items()]
    return [*rows, ""]


def figure(value: float) -> str:
    """Three significant digits, or all digits of an integer."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    main()
