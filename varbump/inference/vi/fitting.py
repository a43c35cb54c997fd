"""Variational training of a network, compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from varbump.core.checks import check_array, check_count, check_rows_match
from varbump.core.keras import keras
from varbump.core.progress import TrainingProgress
from varbump.core.random import host_seed
from varbump.core.temperature import note_temperature
from varbump.data.batches import BatchPlan
from varbump.inference.vi.checkpoint import Checkpoint, stored_seed
from varbump.inference.vi.fingerprint import digest, fingerprint
from varbump.inference.vi.history import History
from varbump.inference.vi.loop import CompiledLoop
from varbump.inference.vi.optimizers import make_optimizer
from varbump.inference.vi.run import run_epochs
from varbump.inference.vi.schedules import kl_weights, learning_rates
from varbump.inference.vi.step import Step
from varbump.likelihoods.checks import check_likelihood
from varbump.model.checks import check_data, check_network

__all__ = ["fit", "run_fit"]

EPOCHS, NUM_STEPS = 200, 5_000
"""Of a run that is not told its epochs: the larger of the two. A learned noise scale takes thousands of steps."""


def fit(
    network: keras.Model,
    likelihood: Any,
    x: Any,
    y: Any,
    *,
    epochs: int | None = None,
    batch_size: int = 32,
    learning_rate: Any = None,
    schedule: str | Callable[[np.ndarray], Any] = "cosine",
    kl_warmup: float = 0.1,
    temperature: float = 1.0,
    num_samples: int = 1,
    optimizer: Any = None,
    sample_weight: Any = None,
    validation_data: tuple[Any, Any] | None = None,
    patience: int | None = None,
    seed: int | None = None,
    checkpoint: Any = None,
    verbose: int = 1,
) -> History:
    r"""Train a network by stochastic variational inference, whole epochs in one XLA program.

    Minimises :math:`\operatorname{mean}_n(-\log p(y_n | f(x_n; w))) + \mathrm{KL}(q || p) / N` over shuffled
    minibatches, one reparameterised draw of all weights a step.

    Parameters
    ----------
    network : tf_keras.Model
        Holds `varbump.layers.DenseVariational`, beside any layers of tf_keras that XLA can compile.
    likelihood : likelihood
        For instance `varbump.likelihoods.Normal`. Weights of its own, such as a learned scale, are trained too.
    x, y : array-like (N, D), (N, Q)
        Training data; one-dimensional arrays are taken as one column.
    epochs : int, optional
        Passes over the rows; by default 200, or as many more as make 5,000 steps of a small table.
    batch_size : int, default=32
        Rows a step. Where N is no multiple of it, batches are made a little smaller, so that all rows count alike.
    learning_rate : float or tf_keras LearningRateSchedule, default=0.01
        Of Adam. An `optimizer` has its own.
    schedule : {"cosine", "constant"} or callable, default="cosine"
        Factor of the learning rate over the run; a callable takes the fraction of the run, an array in [0, 1).
    kl_warmup : float, default=0.1
        Fraction of the run over which the KL weight rises from 0 to 1, where it stays. 0 switches it off. Without
        it the KL prunes units before the data can claim them. Everything reported is at weight 1. Of 0, 0.1, 0.25,
        0.5 and 0.75 the default ends closest to the best ELBO: on 14 fits of two cubics and four tables, with fixed
        and with learned priors, it loses 0.01 nats per observation on average and 0.07 at worst, where 0 loses 0.16
        and 1.04, and 0.5 loses 0.12 and 0.50 (``python experiments/kl_warmup.py --data FOLDER``). Raise it to 0.5 or
        0.75 where held-out likelihood counts for more than the ELBO: from 0.1 to 0.75 that of energy rose from -0.65
        to -0.52 nats per point with N(0, 1), and that of concrete from -3.13 to -2.98 with `ARDNormal`.
    temperature : float, default=1.0
        The KL weight once it is warm. Other than 1, what is trained is not the Bayesian posterior but a colder (below
        1) or warmer one, and is labelled so in the history, in reports and in pictures. The history still speaks of
        the ELBO, at weight 1.
    num_samples : int, default=1
        Draws of the weights a step: less noise in the gradient, for as many times the work.
    optimizer : str or tf_keras optimizer, optional
        Instead of the built-in Adam.
    sample_weight : array-like (N,), optional
        A row of weight 2 counts like two rows; N of the ELBO is then the sum of the weights.
    validation_data : (x, y), optional
        Its loss, with one draw of the weights an epoch, is recorded and watched by `patience`.
    patience : int, optional
        Stop after so many epochs without a lower loss, counted once the KL has its full weight, and restore the
        weights of the best epoch.
    seed : int, optional
        Same seed, machine and versions: bit-identical weights. Otherwise TensorFlow's global seed decides.
    checkpoint : str or path, optional
        A folder for the state of the run, written every few epochs in at most about 2 % of the time. Called again
        with the same arguments, in this process or another, `fit` goes on from there, whatever weights the network
        holds, and ends with the bits of an uninterrupted run; if it had ended, it returns at once. With `seed` unset
        the seed of the checkpoint is taken.
    verbose : int, default=1
        0 is silent; otherwise a progress bar, if standard output is a terminal.

    Returns
    -------
    History
        Loss (nats per observation), nll (the same) and KL (nats) of every epoch. After Ctrl-C it ends with the
        last finished epoch, whose weights the network holds.

    Raises
    ------
    ValueError
        If an argument is out of range, or x or y is empty, not finite, not numeric or of the wrong shape; if
        `checkpoint` belongs to a run with other arguments or data, which the message names, or is damaged.
    OSError
        If `checkpoint` cannot be written.
    TypeError
        If `network` or `optimizer` is not of tf_keras.
    NonFiniteLossError
        If the loss becomes nan or infinite; it names the step, the layer and the weight, and the network then holds
        the last finite weights.
    """
    return run_fit(
        Step,
        network,
        likelihood,
        x,
        y,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        schedule=schedule,
        kl_warmup=kl_warmup,
        temperature=temperature,
        num_samples=num_samples,
        optimizer=optimizer,
        sample_weight=sample_weight,
        validation_data=validation_data,
        patience=patience,
        seed=seed,
        checkpoint=checkpoint,
        verbose=verbose,
    )


def run_fit(
    make_step: Callable[..., Any],
    network: keras.Model,
    likelihood: Any,
    x: Any,
    y: Any,
    *,
    epochs: int | None = None,
    batch_size: int = 32,
    learning_rate: Any = None,
    schedule: str | Callable[[np.ndarray], Any] = "cosine",
    kl_warmup: float = 0.1,
    temperature: float = 1.0,
    num_samples: int = 1,
    optimizer: Any = None,
    sample_weight: Any = None,
    validation_data: tuple[Any, Any] | None = None,
    patience: int | None = None,
    seed: int | None = None,
    checkpoint: Any = None,
    verbose: int = 1,
) -> History:
    """Check the arguments of `fit`, and train the step that ``make_step(network, likelihood, N, samples)`` makes."""
    check_network(network)
    check_likelihood(likelihood)
    batch_size = check_count(batch_size, "batch_size")
    if epochs is not None:
        epochs = check_count(epochs, "epochs")
    if patience is not None:
        patience = check_count(patience, "patience")
    if optimizer is not None and learning_rate is not None:
        raise ValueError("learning_rate belongs to the built-in Adam; set that of `optimizer` on the optimizer itself")
    x, y = check_data(network, likelihood, x, y)
    weights, total_weight = _check_weights(sample_weight, x)
    if not network.built:
        network(x[:1])
    validation = None
    if validation_data is not None:
        if not isinstance(validation_data, (tuple, list)) or len(validation_data) != 2:
            raise ValueError("validation_data must be a pair (x, y)")
        validation = check_data(network, likelihood, validation_data[0], validation_data[1], of="validation ")

    step = make_step(network, likelihood, total_weight, check_count(num_samples, "num_samples"))
    stepper = make_optimizer(optimizer, step.variables)
    plan = BatchPlan(len(x), min(batch_size, len(x)))
    if epochs is None:
        epochs = max(EPOCHS, -(-NUM_STEPS // plan.steps))
    rates = learning_rates(0.01 if learning_rate is None else learning_rate, schedule, epochs * plan.steps)
    kl = kl_weights(kl_warmup, epochs * plan.steps, temperature)
    controls = np.stack([stepper.step_sizes(rates), kl], -1).reshape(epochs, plan.steps, 2).astype(np.float32)
    columns = {"kl_weight": kl[plan.steps - 1 :: plan.steps]}
    if optimizer is None:
        columns["learning_rate"] = rates[plan.steps - 1 :: plan.steps]
    loop = CompiledLoop(step, stepper, (x, y, weights), validation, plan, patience)
    history = History(num_data=len(x), steps_per_epoch=plan.steps, temperature=float(temperature))
    note_temperature(network, temperature)
    seed = host_seed(stored_seed(checkpoint) if seed is None else seed)
    saved = None
    if checkpoint is not None:
        saved = Checkpoint(
            checkpoint,
            fingerprint(
                network,
                likelihood,
                x=digest(x),
                y=digest(y),
                sample_weight=digest(weights),
                validation_data=None if validation is None else digest(*validation),
                epochs=epochs,
                batch_size=batch_size,
                learning_rate=learning_rate,
                schedule=[schedule, digest(rates)],
                kl_warmup=kl_warmup,
                temperature=temperature,
                num_samples=num_samples,
                optimizer=optimizer,
                patience=patience,
                num_members=getattr(step, "num_members", None),
            ),
            seed,
        )
    run_epochs(loop, history, controls, columns, seed, TrainingProgress(epochs, verbose, temperature), saved)
    return history


def _check_weights(sample_weight: Any, x: np.ndarray) -> tuple[np.ndarray | None, float]:
    """Weights of mean 1, and their sum before."""
    if sample_weight is None:
        return None, float(len(x))
    weights = check_array(sample_weight, "sample_weight", x.dtype.name)
    check_rows_match(x, weights, "x", "sample_weight")
    if weights.shape[1:] != (1,):
        raise ValueError(f"sample_weight must have one number a row, got shape {weights.shape}")
    weights = weights[:, 0]
    if (weights < 0).any() or not weights.sum() > 0:
        raise ValueError("sample_weight must not be negative, nor all zero")
    total = float(weights.sum(dtype=np.float64))
    return weights * (len(x) / total), total
