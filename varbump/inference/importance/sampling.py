"""Sample the posterior by importance: train a proposal, weight its draws by the data, and resample."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import tensorflow as tf

from varbump.core.checks import check_count, check_draws, check_number
from varbump.core.interrupts import safe_point, uninterrupted
from varbump.core.keras import is_built, keras
from varbump.core.random import generator as generator_of, host_seed, stateless_seeds
from varbump.core.tracing import vectorized
from varbump.forward.apply import apply
from varbump.forward.programs import compiled, tracing
from varbump.inference.importance.draws import ImportanceDraws
from varbump.inference.importance.inducing import InducingPass, InducingPosterior
from varbump.inference.importance.loss import InducingLoss
from varbump.inference.vi.options import Options
from varbump.inference.vi.training import train
from varbump.layers import DenseVariational
from varbump.layers.drawn import DrawnLayer
from varbump.likelihoods.checks import check_likelihood
from varbump.model.checks import check_data, check_network
from varbump.model.log_posterior import LogPosterior

__all__ = ["sample_importance"]

BATCH_SIZE = 256
"""Largest batch: small data are used whole, which leaves only the noise of the draws."""

BLOCK_BYTES = 64 * 2**20
"""Approximate bound on the memory for outputs and activations when candidates are weighted."""


@uninterrupted()
def sample_importance(
    network: keras.Model,
    likelihood: Any,
    x: Any,
    y: Any,
    *,
    num_draws: int = 1000,
    num_candidates: int = 30,
    num_inducing: int = 50,
    num_steps: int = 10_000,
    num_samples: int = 4,
    learning_rate: float = 0.01,
    seed: int | None = None,
    verbose: int = 1,
) -> ImportanceDraws:
    r"""Draw weights approximately from their posterior by importance resampling, in seconds.

    First a global inducing point posterior q is trained on the ELBO: each layer's weights, given those of the layers
    before, are those of Bayesian linear regression on pseudo-data, a dependence that no normal over all weights can
    express. Then each draw is chosen among K candidates w_k ~ q with probability proportional to

    .. math:: p(y | x, w_k)\, p(w_k) / q(w_k),

    which corrects q where its candidates reach. The result reports how close the draws are.

    Parameters
    ----------
    network : tf_keras.Model
        Made by `varbump.build_network`, or with consecutive `DenseVariational` layers on inputs (N, D). Only its
        architecture and priors matter: its own q is neither used nor changed, and need not be fitted. Scales learned by
        priors or the likelihood, however, keep their current values, as in `sample_nuts`.
    likelihood : likelihood
    x, y : array-like (N, D), (N, Q)
    num_draws : int, default=1000
    num_candidates : int, default=30
        K, candidates per draw. More are closer to the posterior; the cost grows in proportion.
    num_inducing : int, default=50
        M, the number of inducing rows; they are initially rows of x.
    num_steps : int, default=10_000
        Number of training steps.
    num_samples : int, default=4
        Draws of the weights per training step.
    learning_rate : float, default=0.01
        Initial learning rate of Adam; it decreases to 0 along a cosine.
    seed : int, optional
        The same seed, machine and versions give the same draws. If omitted, TensorFlow's global seed decides.
    verbose : int, default=1
        0 is silent; otherwise a progress bar of the training is shown on terminals and in notebooks.

    Returns
    -------
    ImportanceDraws
        `predict_f`, `predict_y` and `predict_bands` accept it in place of the network. Print it for a judgement.

    Raises
    ------
    ValueError
        If the network has no variational layers, or others than `DenseVariational`, if its inputs are not rows (N, D),
        if an argument is out of range, if x or y does not fit, or if a prior has no density or moments.
    TypeError
        If `network` is not of tf_keras.
    NonFiniteLossError
        If the loss becomes nan or infinite.
    KeyboardInterrupt
        After Ctrl-C, also in the training: draws of a proposal that is half trained would say little.

    References
    ----------
    Ober and Aitchison (2021), "Global inducing point variational posteriors for Bayesian neural networks and deep
    Gaussian processes". Rubin (1987), "The SIR algorithm"; Domke and Sheldon (2018), "Importance Weighting and
    Variational Inference", theorem 1.
    """
    check_network(network)
    check_likelihood(likelihood)
    num_draws, num_candidates = check_draws(num_draws), check_draws(num_candidates, "num_candidates")
    num_inducing, num_steps = check_count(num_inducing, "num_inducing"), check_count(num_steps, "num_steps")
    learning_rate = check_number(learning_rate, "learning_rate", strict=True)
    x, y = check_data(network, likelihood, x, y)
    if not is_built(network):
        network(x[:1])
    if x.ndim != 2:
        raise ValueError(f"sample_importance takes inputs of shape (N, D), but x has shape {x.shape}")
    seed, began = host_seed(seed), time.perf_counter()
    safe_point()
    target = LogPosterior(network, likelihood, x, y)
    _check_layers(target)
    posterior = _start(target, x, y, num_inducing, seed)

    loss = InducingLoss(posterior, network, likelihood, check_count(num_samples, "num_samples"))
    batch_size = min(len(x), BATCH_SIZE)
    options = Options(
        epochs=-(-num_steps // -(-len(x) // batch_size)),
        batch_size=batch_size,
        learning_rate=learning_rate,
        num_samples=loss.num_samples,
        verbose=verbose,
    )
    run = train(loss, x, y, options, seed, [[v.numpy()] for v in loss.trainable])
    run.finish()
    history = run.history
    if history.stopped == "interrupted":
        raise KeyboardInterrupt
    for variable, value in run.values():
        variable.assign(value[0])
    weights, log_weights = _resampled(target, posterior, num_draws, num_candidates, seed)
    return ImportanceDraws(network, weights, log_weights, history, time.perf_counter() - began)


def _check_layers(target: LogPosterior) -> None:
    """Raise a ValueError unless the weights of each layer are those of a linear regression on its inputs."""
    for layer in target.layers:
        if isinstance(layer, DrawnLayer) and not isinstance(layer, DenseVariational):
            raise ValueError(
                f"sample_importance takes networks of DenseVariational layers, and {layer.name!r} is a "
                f"{type(layer).__name__}; use sample_posterior"
            )


def _start(target: LogPosterior, x: np.ndarray, y: np.ndarray, num_inducing: int, seed: int) -> InducingPosterior:
    """Start inducing rows at rows of x, with y as the last pseudo-outputs, as precise as N rows of y."""
    for layer in target.layers:
        prior = layer.prior(None)
        try:
            known = bool(np.all(np.isfinite([prior.mean(), prior.stddev()])))
        except NotImplementedError:
            known = False
        if not known:
            name = type(getattr(prior, "distribution", prior)).__name__
            raise ValueError(
                f"the prior of layer {layer.name!r}, {name}, has no finite mean and standard deviation "
                f"in closed form, which sample_importance starts from; use sample_nuts, which needs its density only"
            )
    rows = generator_of(seed, 3).permutation(len(x))[:num_inducing]
    outputs = np.zeros((len(rows), target.layers[-1].units), x.dtype)
    outputs[:, : y.shape[1]] = y[rows]  # others are raw scales of the noise
    sd = np.asarray(target.likelihood.stddev(tf.zeros([1, outputs.shape[1]], target.dtype)), float)
    precision = len(x) / len(rows) / float(np.mean(sd**2))
    return InducingPosterior(target.layers, x[rows], outputs, precision, seed)


def _resampled(
    target: LogPosterior, posterior: InducingPosterior, num_draws: int, num_candidates: int, seed: int
) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Resample: chosen weights of each layer (num_draws, n), and log importance weights of all candidates."""

    def candidate(noise: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
        forward = InducingPass(posterior, noise)
        apply(target.network, tf.convert_to_tensor(posterior.inputs), through=forward)
        log_q = tf.cast(tf.add_n(forward.log_q), target.dtype)
        return forward.drawn, target.log_prob(forward.drawn) - log_q

    def block(seed_of_block: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
        noise = posterior.noise_of(seed_of_block, groups * num_candidates)
        return vectorized(candidate, noise, fallback_to_while_loop=False)

    bytes_each = len(target.x) * sum(layer.units for layer in target.layers) * target.dtype.size
    groups = min(max(BLOCK_BYTES // (bytes_each * num_candidates), 1), num_draws)
    program, generator = compiled(block), generator_of(seed, 4)
    chosen: list[list[np.ndarray]] = []
    log_weights = []
    with tracing():  # the network's layers are gone through here only, and the lock is not held while it runs
        program.trace(tf.TensorSpec([2], tf.int32))
    for number in range(-(-num_draws // groups)):
        safe_point()
        state = stateless_seeds(seed, 5, number)[0]
        weights, values = program(tf.constant(state))
        logs = values.numpy().astype(float).reshape(groups, num_candidates)
        logs[np.isnan(logs)] = -np.inf
        best = np.argmax(logs + generator.gumbel(size=logs.shape), axis=1) + num_candidates * np.arange(groups)
        chosen.append([w.numpy()[best] for w in weights])
        log_weights.append(logs)
    parts = [np.concatenate(part)[:num_draws] for part in zip(*chosen, strict=True)]
    return tuple(parts), np.concatenate(log_weights)[:num_draws]
