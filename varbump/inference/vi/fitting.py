"""Train a network by compiled variational inference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from varbump.core.interrupts import uninterrupted
from varbump.core.keras import keras
from varbump.core.temperature import note_temperature
from varbump.data.sources import ArraySource, Source
from varbump.inference.stream.training import check_source, sole_source, train_on_source
from varbump.inference.vi.convergence import warn_unless_converged
from varbump.inference.vi.exact import fit_exactly
from varbump.inference.vi.history import History
from varbump.inference.vi.loss import NetworkLoss
from varbump.inference.vi.misfit import warn_of_misfit
from varbump.inference.vi.natural import natural_start
from varbump.inference.vi.options import Options
from varbump.inference.vi.training import Run, checked_data, run_seed, train
from varbump.inference.workers.training import train_with_strategy
from varbump.model.heads import separated

__all__ = ["fit"]


@uninterrupted()
def fit(
    network: keras.Model,
    likelihood: Any,
    x: Any,
    y: Any = None,
    *,
    epochs: int | None = None,
    batch_size: int | None = None,
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
    strategy: Any = None,
    average_every: int | None = None,
    verbose: int = 1,
) -> History:
    r"""Train a network by stochastic variational inference, whole epochs in one XLA program.

    Minimises :math:`\operatorname{mean}_n(-\log p(y_n | f(x_n; w))) + \mathrm{KL}(q || p) / N` over shuffled
    minibatches, with one reparameterised draw of all weights per step.

    Without `epochs`, a run ends when it has settled: when another doubling of its length would improve the loss by less
    than 0.01 nats per observation, and move the scales of q by about 2 % (of runs that would still gain as much, one
    check in fifty passes). Up to there the learning rate is constant; over the last 30 % of the run it falls to 0.

    Before that, families with covariances of networks with up to 600 weights and a fixed normal prior take 2,000
    natural-gradient steps (variational online Gauss-Newton, Khan and Rue 2023, "The Bayesian Learning Rule"), in which
    wide and narrow directions of q move alike; such a run then has no KL warm-up, and a learning rate of 0.002. They
    are not part of the history, and are left out if `learning_rate` or another option of optimisation is given.

    If f is linear in the weights, noise and prior are normal and no option below asks for stochastic optimisation
    (`epochs`, `learning_rate`, `schedule`, `optimizer`, `patience`, `checkpoint`), the optimum is computed in closed
    form instead: the exact posterior, for families with full covariance.

    Parameters
    ----------
    network : tf_keras.Model
        Contains variational layers of `varbump.layers`, and any layers of tf_keras that XLA can compile.
    likelihood : likelihood or None
        For instance `varbump.likelihoods.Normal`. Its own weights, such as a learned scale, are trained too. None for
        a network that ends in a distribution of y, such as `tfp.layers.IndependentNormal`, which is its likelihood.
    x, y : array-like (N, D), (N, Q)
        Training data; one-dimensional arrays are treated as one column. Or x is a source of `varbump.sources`, which
        has both, and y is left out.
    epochs : int, optional
        Passes over the rows. By default as many as it takes, see above, but at most 60,000 steps, or 200 passes if
        those are more. With `optimizer`, `patience`, or a `schedule` or `learning_rate` of your own, which need to know
        the length beforehand, the default is 200, or more if a small table needs more to reach 5,000 steps. On a
        source, it is as many as make up 60,000 steps.
    batch_size : int, optional
        Rows per step. The default is 32, or all if there are at most 256 and the run ends when it has settled. If N is
        not a multiple of it, batches are slightly smaller, so that all rows count equally.
    learning_rate : float or tf_keras LearningRateSchedule, default=0.01
        Learning rate of the built-in Adam. Not allowed with `optimizer`, which has its own.
    schedule : {"cosine", "constant"} or callable, default="cosine"
        Factor of the learning rate over a run of given length. A callable receives the fractions of the run at which
        steps are taken, an array in [0, 1), and returns the factors.
    kl_warmup : float, default=0.1
        Fraction of the run over which the KL weight rises linearly from 0 to its full value; 0 disables the warm-up.
        Without `epochs`, it is that of 200 epochs or 5,000 steps, whichever is longer.
        Without it, the KL prunes units before they have learned from the data. All reported values are at weight 1.
        Among 0, 0.1, 0.25, 0.5 and 0.75, the default comes closest to the best ELBO: on 14 fits of two cubics and
        four tables, with fixed and with learned priors, it loses 0.01 nats per observation on average and 0.07 at
        worst, whereas 0 loses 0.16 and 1.04, and 0.5 loses 0.12 and 0.50 (``python experiments/kl_warmup.py --data
        FOLDER``). Raise it to 0.5 or 0.75 if held-out likelihood matters more than the ELBO: going from 0.1 to 0.75
        improved it from -0.65 to -0.52 nats per point on energy with N(0, 1), and from -3.13 to -2.98 on concrete
        with `ARDNormal`.
    temperature : float, default=1.0
        KL weight after the warm-up. Any value other than 1 approximates a colder (below 1) or warmer posterior than
        the Bayesian one; the history, reports and plots say so. The history still reports the ELBO at weight 1.
    num_samples : int, default=1
        Draws of the weights per step. More draws reduce the gradient noise; the cost grows in proportion.
    optimizer : str or tf_keras optimizer, optional
        Replaces the built-in Adam.
    sample_weight : array-like (N,), optional
        Weights of the rows: a row of weight 2 counts as two rows, and N in the ELBO is the sum of the weights. A source
        has its own.
    validation_data : (x, y) or source, optional
        Data whose loss is recorded after every epoch, with one draw of the weights, and monitored by `patience`; a
        source only if the training data are one.
    patience : int, optional
        Stop after this many epochs without improvement, counted once the KL has its full weight, and restore the
        weights of the best epoch.
    seed : int, optional
        The same seed, machine and versions give bit-identical weights. If omitted, TensorFlow's global seed decides.
    checkpoint : str or path, optional
        Folder for the state of the run, written every few epochs in at most about 2 % of the time. When called again
        with the same arguments, in this process or another, `fit` resumes from there, whatever weights the network
        holds, and the result is bit-identical to that of an uninterrupted run; a finished run returns at once. If
        `seed` is omitted, the seed stored in the checkpoint is used. The folder always holds one whole state, also if
        the process is killed while it writes; a state that was damaged or edited is refused. A folder belongs to one
        run at a time: a second one, in any process, is refused while the first is in it (on file systems with locks).
        If the disk is full, a run does not begin; one that is under way goes on with a RuntimeWarning, keeps the last
        state that was written, tries again later, and returns its history as ever. The clock may be set meanwhile.
    strategy : tf.distribute.MultiWorkerMirroredStrategy or tf.distribute.MirroredStrategy, optional
        Train on all of its workers, each of which runs the same script and calls `fit` with the same arguments, see
        the notes. Create it before anything else of TensorFlow, and neither build the network nor call `fit` inside
        its ``scope()``.
    average_every : int, optional
        Steps that each worker of the strategy takes between two averages, at most. The default is 256. Fewer cost
        time, see `docs/scale.md`; more let the workers drift apart.
    verbose : int, default=1
        0 is silent; otherwise a progress bar is shown on terminals and in notebooks.

    Returns
    -------
    History
        Loss and nll (nats per observation) and KL (nats) of every epoch; it also says which layers have no closed form
        of the KL, which is then estimated by Monte Carlo. After Ctrl-C, which is answered within about a quarter of a
        second or after the epoch under way, it ends with the last finished epoch, `stopped` is "interrupted", and the
        network has the weights of that epoch. After an exact solution, `History.exact` is true.

    Raises
    ------
    ValueError
        If an argument is out of range; if x or y is empty, not finite, not numeric or of the wrong shape; if there is
        nothing to train, or the loss depends on a trainable variable that no layer tracks; or if `checkpoint` is
        damaged, in use, or belongs to a run with other arguments, data, frozen weights, or parts of a user's own,
        which are compared by their code and by all that they hold; the message names what differs, or what cannot be
        compared.
    OSError
        If `checkpoint` cannot be written at the start.
    TypeError
        If `network` or `optimizer` is not of tf_keras.
    NonFiniteLossError
        If the loss becomes nan or infinite. The error names the step, the layer and the weight, and the network
        keeps the last finite weights.
    WorkerLost
        If another worker of `strategy` has ended or does not answer. It ends the process with exit code 75.
    KeyboardInterrupt
        If Ctrl-C comes before the first epoch has finished; the network is unchanged. A second and a
        third Ctrl-C do not wait for the epoch under way.

    Warns
    -----
    UserWarning
        If the run has reached its largest length before it has settled; the message has the gain of the last doubling.
        If x or y is far from unit scale and the fit has ended worse than a constant function.

    Notes
    -----
    An epoch of a source is a sequence of blocks of rows, which a thread reads ahead, see `varbump.sources.Source`. Each
    block is shuffled and gone through by the program that arrays have, with noise of its own; N in the ELBO is that of
    the whole source. Without `epochs`, such a run has a given length, and is not checked for whether it has settled.
    Natural gradients and exact solutions need all rows at once, and are left out. Ctrl-C is answered after the block
    under way: what was learned from the blocks so far is kept, and the last entry of the history is then their mean,
    without validation. A checkpoint remembers the place in the epoch.

    Of the W workers of a strategy, each has a share of the row groups (of the rows, of arrays), with the same number
    of rows but for one. It takes steps of `batch_size` rows on it, with batches and noise of its own; after
    `average_every` steps, and at the end of each epoch, all of them replace their parameters and the state of the
    optimiser by the means over the workers. An epoch is one pass over all rows, so each worker takes 1 / W of the
    steps that one process would take. N in the ELBO is that of the whole source. The learning rate is that of one
    process: averages reduce the noise of the gradients as batches W times as large would, but do not make a step go
    further. Values of the history are means over the workers. Seed and initial weights are those of worker 0, the
    chief, which alone reads and writes the checkpoint; at the end, all hold the same bits, which is checked. As with
    sources, there are no natural gradients and no exact solutions. Ctrl-C on one worker stops all of them. A worker
    that has been killed is noticed within seconds, one that hangs within a minute, or within the `timeout_seconds` of
    the strategy's ``communication_options``; the others then end with exit code 75. Started again, with the same
    number of workers, all go on from the last checkpoint, with the same bits as if nothing had happened.

    Examples
    --------
    >>> import varbump as vb
    >>> x, y = vb.datasets.cubic(50, seed=0)
    >>> network = vb.build_network(1, hidden_units=(), seed=0)  # a line, which is solved in closed form
    >>> history = vb.fit(network, vb.likelihoods.Normal(scale=1.0), x, y, verbose=0)
    >>> history.converged, history.exact
    (True, True)
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
        strategy=strategy,
        average_every=average_every,
        verbose=verbose,
    )
    seed = run_seed(options)
    if isinstance(x, Source) or strategy is not None:
        source = sole_source(x, y, options) if isinstance(x, Source) else _source(network, likelihood, x, y, options)
        trained, likelihood = separated(network, likelihood, np.zeros((1, *source.x_shape)))
        check_source(trained, likelihood, source)
        loss = NetworkLoss(trained, likelihood, source.x_shape, options.num_samples)
        if strategy is None:
            run = train_on_source(loss, source, options, seed, [[v.numpy()] for v in loss.trainable])
        else:
            run = train_with_strategy(loss, source, options, seed)
        rows: Any = run.sample()
    else:
        trained, likelihood = separated(network, likelihood, x)
        x, y = checked_data(trained, likelihood, x, y)
        rows = x, y, sample_weight
        loss = NetworkLoss(trained, likelihood, x.shape[1:], options.num_samples)
        exact = fit_exactly(loss, x, y, options)
        if exact is not None:
            note_temperature(network, temperature)
            warn_of_misfit(exact, likelihood, *rows, network=network)
            return exact
        values, options = natural_start(loss, x, y, options, seed)
        run = train(loss, x, y, options, seed, values)
    _assign(network, run, temperature)
    warn_unless_converged(run.history, run.settling)
    warn_of_misfit(run.history, likelihood, *rows, network=network)
    return run.history


def _source(network: keras.Model, likelihood: Any, x: Any, y: Any, options: Options) -> Source:
    """Checked arrays as a source, of which workers take their shares."""
    trained, likelihood = separated(network, likelihood, x)
    return ArraySource(*checked_data(trained, likelihood, x, y), options.sample_weight)


def _assign(network: keras.Model, run: Run, temperature: float) -> None:
    with uninterrupted():
        for variable, value in run.values():
            variable.assign(value[0])
        note_temperature(network, temperature)
        run.finish()
