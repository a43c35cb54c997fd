"""Variational training of a network, compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from varbump.core.interrupts import uninterrupted
from varbump.core.keras import keras
from varbump.core.temperature import note_temperature
from varbump.inference.vi.history import History
from varbump.inference.vi.loss import NetworkLoss
from varbump.inference.vi.options import Options
from varbump.inference.vi.training import checked_data, run_seed, train

__all__ = ["fit"]


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
    options = Options(
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
    seed = run_seed(options)
    x, y = checked_data(network, likelihood, x, y)
    loss = NetworkLoss(network, likelihood, x.shape[1:], options.num_samples)
    note_temperature(network, temperature)
    run = train(loss, x, y, options, seed, [[v.numpy()] for v in loss.trainable])
    with uninterrupted():
        for variable, value in run.values():
            variable.assign(value[0])
        run.finish()
    return run.history
