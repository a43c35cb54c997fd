r"""Natural-gradient start of normal posteriors with covariances: variational online Gauss-Newton.

With the precision Lambda of q, draws w of q, and for the negative log-likelihood of all data the gradient g and the
Gauss-Newton matrix G, each averaged over the draws, a step with rates rho and alpha is

.. math:: \Lambda \leftarrow (1 - \rho) \Lambda + \rho (G + \Lambda_0), \quad
          m \leftarrow m - \alpha \Lambda^{-1} (g + \Lambda_0 (m - m_0))

for a prior N(m_0, Lambda_0^(-1)) (Khan and Rue 2023, "The Bayesian Learning Rule", section 4; Khan et al. 2018, "Fast
and Scalable Bayesian Deep Learning by Weight-Perturbation in Adam"). It needs a few thousand steps where first-order
steps need a hundred thousand, since all directions of q, wide and narrow, move at the same relative pace. Its fixed
point has the Gauss-Newton matrix in place of the Hessian, so the optimum of the ELBO is left to Adam, at a small rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf
from scipy.linalg import cho_solve, solve_triangular
from tensorflow_probability import distributions as tfd
from threadpoolctl import threadpool_limits

from varbump.core.interrupts import safe_point
from varbump.core.keras import trainable_variables_of
from varbump.core.progress import ProgressBar
from varbump.core.random import generator
from varbump.forward.apply import called_layers
from varbump.forward.jacobian import NOT_DIFFERENTIABLE
from varbump.forward.stateless import all_variables, key
from varbump.inference.vi.checkpoint import stored_argument
from varbump.inference.vi.gauss_newton import gauss_newton
from varbump.inference.vi.loss import Batch, NetworkLoss
from varbump.inference.vi.optimizers import Adam
from varbump.inference.vi.options import Options

__all__ = ["natural_start"]

MAX_WEIGHTS = 600
"""Bound on the number of weights: the time of a step grows with its square and cube."""

MAX_ROWS = 256
"""Rows of a step, at random, if there are more."""

STEPS, PAIRS = 2_000, 2
"""Steps, and pairs w = m + d and m - d of draws in each."""

MEAN_RATE, PRECISION_RATE = 0.5, 0.3
"""Initial rates alpha and rho, which fall to 0 along a cosine, which averages the noise of the steps out."""

OWN_RATE = 0.01
"""Initial rate of Adam for the likelihood's own variables."""

RATE = 0.002
"""Learning rate of Adam afterwards: at 0.01 the noise of its steps would undo part of what has been reached."""

START = 0.25
"""Factor of the initial means: fewer units take part at first, and those that do not earn their KL stay at the prior.

With 1, -ELBO/N of a joint normal is higher by 0.07 to 0.08 nats after them on `varbump.datasets.wiggly`.
"""

NATURAL = 7
"""Purpose of the seed."""


def natural_start(
    loss: NetworkLoss, x: np.ndarray, y: np.ndarray, options: Options, seed: int
) -> tuple[list[list[np.ndarray]], Options]:
    """Return initial values (1, ...) of `loss.trainable`, and options with which to go on; change nothing.

    They are the present values and the given options if an option speaks about optimisation, if the network is large,
    if a family has no covariances or a prior is trained or not normal, if the likelihood cannot be differentiated
    twice or is not curved, or if the steps have diverged. A run that a checkpoint holds goes on as it began, from the
    values that are there.
    """
    present = [[v.numpy()] for v in loss.trainable]
    parts = _parts(loss, x) if options.seeks_convergence and options.learning_rate is None else None
    if parts is None:
        return present, options
    then = replace(options, learning_rate=RATE, kl_warmup=0.0)
    if stored_argument(options.checkpoint, "seed") is not None:
        began_so = stored_argument(options.checkpoint, "learning_rate") == RATE
        return present, then if began_so else options
    try:
        with np.errstate(all="raise", under="ignore"):
            own = _iterate(loss, parts, x, y, options, seed)
            factors = [np.linalg.cholesky(np.linalg.inv(block.precision)) for block in parts.blocks]
    except (FloatingPointError, np.linalg.LinAlgError, *NOT_DIFFERENTIABLE):
        return present, options
    values = parts.values(factors) | {key(v): value for v, value in zip(loss.of_likelihood, own, strict=True)}
    return [[values[key(v)]] for v in loss.trainable], then


@dataclass
class _Block:
    """Weights that depend on each other: their place among all, and the state of q."""

    place: slice
    loc: np.ndarray
    precision: np.ndarray

    def __post_init__(self) -> None:
        self.factor = np.linalg.cholesky(self.precision)

    def deviations(self, noise: np.ndarray) -> np.ndarray:
        """Deviations (n, S) from the mean, for standard normal noise (n, S)."""
        return solve_triangular(self.factor, noise, lower=True, trans="T", check_finite=False)

    def move(self, gradient: np.ndarray, precision: np.ndarray, rates: tuple[float, float]) -> None:
        """Take a step towards a precision, and against a gradient that the new one scales."""
        alpha, rho = rates
        self.precision = (1.0 - rho) * self.precision + rho * precision
        self.factor = np.linalg.cholesky(self.precision)
        self.loc = self.loc - alpha * cho_solve((self.factor, True), gradient, check_finite=False)


@dataclass
class _Parts:
    """Layers of the network, and blocks of their weights: one for each layer, or one for all."""

    layers: Sequence[Any]
    sizes: list[int]
    blocks: list[_Block]
    prior_loc: np.ndarray
    prior_precision: np.ndarray

    @property
    def loc(self) -> np.ndarray:
        return np.concatenate([block.loc for block in self.blocks])

    def values(self, factors: Sequence[np.ndarray]) -> dict[Any, np.ndarray]:
        """Values of the variables of the families, by key, for Cholesky factors of the covariances of the blocks."""
        found: dict[Any, np.ndarray] = {}
        loc, end = self.loc, 0
        for number, (layer, size) in enumerate(zip(self.layers, self.sizes, strict=True)):
            start, end = end, end + size
            rows = factors[0][start:end, :end] if len(factors) < len(self.layers) else factors[number]
            values = layer.posterior.values_of(loc[start:end], rows)
            found |= {key(v): value for v, value in zip(trainable_variables_of(layer.posterior), values, strict=True)}
        return found


def _parts(loss: NetworkLoss, x: np.ndarray) -> _Parts | None:
    """Find the layers and their blocks; None if the method does not suit the network."""
    layers = called_layers(loss.network, (1, *x.shape[1:]))
    families = [layer.posterior for layer in layers if hasattr(layer.posterior, "values_of")]
    if not layers or len(families) < len(layers) or len(set(map(id, layers))) < len(layers):
        return None
    priors = [layer.prior(None) for layer in layers]
    sizes = [q.num_weights for q in families]
    if not loss.trains_only(families) or sum(sizes) > MAX_WEIGHTS:
        return None
    follows = any(getattr(layer.prior, "follows_posterior", False) for layer in layers)
    if follows or not all(isinstance(p, tfd.MultivariateNormalDiag) for p in priors):
        return None
    is_joint = families[-1].preceding is not None
    if is_joint and [q.preceding for q in families] != [tuple(sizes[:i]) for i in range(len(sizes))]:
        return None
    prior_loc, variance = (
        np.concatenate([np.asarray(part, np.float64) for part in parts])
        for parts in ([p.mean() for p in priors], [p.variance() for p in priors])
    )
    loc = START * np.concatenate([np.asarray(q.mean, np.float64) for q in families])
    precision = np.concatenate([1.0 / np.asarray(q.variances(), np.float64) for q in families])
    ends = np.cumsum([sum(sizes)] if is_joint else sizes)
    places = [slice(int(start), int(end)) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    blocks = [_Block(place, loc[place], np.diag(precision[place])) for place in places]
    return _Parts(layers, sizes, blocks, prior_loc, 1.0 / variance)


def _iterate(
    loss: NetworkLoss, parts: _Parts, x: np.ndarray, y: np.ndarray, options: Options, seed: int
) -> list[np.ndarray]:
    """Take all steps; return the values of the likelihood's variables."""
    weights, total = options.row_weights(x)
    weights = np.ones(len(x)) if weights is None else weights
    random, step = generator(seed, NATURAL), gauss_newton(loss, parts.sizes)
    state = [tf.constant(v) for v in all_variables(loss.network, loss.likelihood)]
    own = loss.of_likelihood
    adam = Adam([tf.TensorSpec(v.shape, v.dtype) for v in own])
    of_likelihood, values = adam.start(own), [tf.convert_to_tensor(v) for v in own]
    falls = 0.5 * (1.0 + np.cos(np.pi * np.arange(STEPS) / STEPS))
    alphas = adam.step_sizes(OWN_RATE * falls)
    size = min(len(x), MAX_ROWS)
    scale = total / options.temperature
    bar = ProgressBar(STEPS, unit="step", verbose=options.verbose, text="natural-gradient start")
    # matrices are small: a second thread of BLAS costs more than it brings, much more on a busy machine
    with bar, threadpool_limits(1, "blas"):
        for fall, alpha in zip(falls, alphas, strict=True):
            safe_point()
            rows = slice(None) if size == len(x) else random.choice(len(x), size, replace=False)
            shares = (weights[rows] / size).astype(x.dtype)
            noise = random.standard_normal((len(parts.prior_loc), PAIRS))
            deviations = np.concatenate([block.deviations(noise[block.place]) for block in parts.blocks]).T
            draws = parts.loc + np.concatenate([deviations, -deviations])
            batch = Batch(x[rows], y[rows], shares)
            slopes = step(batch, draws.astype(loss.dtype.as_numpy_dtype), values, state)
            gradient = scale * slopes.gradient.numpy().astype(np.float64)
            gradient += parts.prior_precision * (parts.loc - parts.prior_loc)
            matrix = slopes.matrix.numpy()
            if not matrix.any():
                raise NotImplementedError("the log density is not curved")
            for block in parts.blocks:
                here = matrix[block.place, block.place].astype(np.float64)
                precision = scale * here + np.diag(parts.prior_precision[block.place])
                block.move(gradient[block.place], precision, (MEAN_RATE * fall, PRECISION_RATE * fall))
            if own:
                of_likelihood = adam.step(of_likelihood, slopes.of_likelihood, alpha)
                values = adam.values(of_likelihood)
            bar.advance(1)
    return [np.asarray(value) for value in values]
