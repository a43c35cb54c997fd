r"""The exact optimum of the ELBO, for models that are linear in their weights and have normal noise.

With f = f_0 + J w, noise N(0, sigma^2) and a prior N(m_0, Lambda_0^(-1)), the posterior is normal, with

.. math:: \Lambda = J^T J / \sigma^2 + \Lambda_0, \quad
          \Lambda m = J^T (y - f_0) / \sigma^2 + \Lambda_0 m_0

(Bishop 2006, "Pattern Recognition and Machine Learning", eq. 3.50). Families with full covariance contain it. Among
independent normals, the best one has the same mean and the variances 1 / Lambda_ii (eq. 10.12). If scales of the noise
or of the prior are learned, the ELBO is maximised for q and for the scales in turn.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from varbump.core.interrupts import safe_point
from varbump.core.restored import restored_after_errors
from varbump.forward.apply import called_layers
from varbump.forward.elbo import negative_elbo
from varbump.inference.vi.history import History
from varbump.inference.vi.linear import LinearModel, is_small, linear_model, normal_prior
from varbump.inference.vi.loss import NetworkLoss
from varbump.inference.vi.options import Options
from varbump.model.checks import check_data

__all__ = ["exact_model", "fit_exactly", "maximise", "only_layer"]

MAX_ITERATIONS, TOLERANCE = 2_000, 1e-9
"""Iteration ends when the ELBO improves by less than this, in nats per observation."""


def fit_exactly(loss: NetworkLoss, x: np.ndarray, y: np.ndarray, options: Options) -> History | None:
    """Give q and the learned scales their optimal values if there is a closed form; otherwise change nothing.

    Parameters
    ----------
    loss : NetworkLoss
    x, y : ndarray (N, D), (N, Q)
        Training data, already validated.
    options : Options

    Returns
    -------
    History or None
        One entry per iteration; None if an option asks for steps, the model is not linear, its noise is not normal, or
        the prior or the family has no closed form.
    """
    layer = only_layer(loss, x.shape[1:], y.shape[1]) if options.leaves_the_method_open else None
    model = exact_model(loss, layer, x, y, options)
    if model is None:
        return None
    watched = None
    if options.validation_data is not None:
        held_x, held_y = options.validation_data
        held_out = check_data(loss.network, loss.likelihood, held_x, held_y, of="validation ")
        watched = linear_model(loss, model.gram.shape[-1], *held_out)
    return maximise(loss, layer, model, len(x), watched, float(options.temperature))


def only_layer(loss: NetworkLoss, row_shape: tuple[int, ...], num_targets: int) -> Any | None:
    """Find the variational layer if there is one, and all that is trained is its q and the scale of normal noise.

    Parameters
    ----------
    loss : NetworkLoss
    row_shape : tuple of int
        Shape of a row of x.
    num_targets : int
    """
    layers = called_layers(loss.network, (1, *row_shape))
    if len(layers) != 1 or loss.likelihood.best_scale(np.ones(num_targets)) is None:
        return None
    layer: Any = layers[0]
    if not loss.trains_only([layer.posterior]) or not hasattr(layer.posterior, "assign"):
        return None
    return layer if normal_prior(layer.prior(None)) is not None else None


def exact_model(loss: NetworkLoss, layer: Any, x: np.ndarray, y: np.ndarray, options: Options) -> LinearModel | None:
    """What the rows say, in closed form, to a model whose posterior `maximise` finds; None if there is none.

    Parameters
    ----------
    loss, x, y
        As in `fit_exactly`.
    layer : VariationalLayer or None
        From `only_layer`.
    options : Options
        Of which only the weights of the rows count.
    """
    if layer is None or not is_small(layer.posterior.num_weights, len(x), y.shape[1]):
        return None
    if np.ndim(options.sample_weight) > 1 < np.shape(options.sample_weight)[1]:
        return None  # members of different weights have different optima
    weights, total = options.row_weights(x)
    model = linear_model(loss, layer.posterior.num_weights, x, y, weights)
    return None if model is None else model._replace(num_data=total)


def maximise(
    loss: NetworkLoss,
    layer: Any,
    model: LinearModel,
    num_rows: int,
    watched: LinearModel | None = None,
    temperature: float = 1.0,
) -> History | None:
    """Give q and the learned scales their optimal values for a model from `exact_model`, or merged from several.

    Parameters
    ----------
    loss : NetworkLoss
    layer : VariationalLayer
        From `only_layer`.
    model : LinearModel
    num_rows : int
        For the history.
    watched : LinearModel, optional
        Of validation data.
    temperature : float, default=1.0

    Returns
    -------
    History or None
        None, with nothing changed, if the posterior is singular in double precision, or the family has no closed form.
    """
    history = History(num_data=num_rows, steps_per_epoch=1, temperature=temperature, exact=True, converged=True)
    try:
        with restored_after_errors(loss.trainable):
            _iterate(layer, loss.likelihood, model, watched, history)
            safe_point()
    except (np.linalg.LinAlgError, NotImplementedError):
        return None
    return history


def _iterate(layer: Any, likelihood: Any, model: LinearModel, watched: LinearModel | None, history: History) -> None:
    """Maximise the ELBO for q and for the learned scales in turn, until it no longer rises."""
    temperature, total, before = history.temperature, model.num_data, math.inf
    columns: dict[str, list[float]] = {}
    for _ in range(MAX_ITERATIONS):
        safe_point()
        prior = normal_prior(layer.prior(None))
        assert prior is not None  # as found before
        scale = np.broadcast_to(likelihood.scale, len(model.gram)).astype(np.float64)
        loc, precision = model.posterior(scale, *prior, temperature)
        independent = layer.posterior.independent
        covariance = np.diag(1.0 / np.diag(precision)) if independent else np.linalg.inv(precision)
        layer.posterior.assign(loc, covariance)

        kl = _kl(loc, covariance, *prior)
        errors = {"": model.squared_errors(loc, covariance)}
        if watched is not None:
            errors["val_"] = watched.squared_errors(loc, covariance)
        nll = {
            prefix: float(np.sum(0.5 * squares / scale**2 + np.log(scale) + 0.5 * math.log(2.0 * math.pi)))
            for prefix, squares in errors.items()
        }
        for prefix, value in nll.items():
            columns.setdefault(f"{prefix}loss", []).append(float(negative_elbo(value, kl, total)))
            columns.setdefault(f"{prefix}nll", []).append(value)
        columns.setdefault("kl", []).append(kl)
        columns.setdefault("kl_weight", []).append(temperature)
        objective = negative_elbo(nll[""], kl, total, temperature)
        if not before - objective > TOLERANCE:
            break
        before = objective
        likelihood.assign_scale(likelihood.best_scale(errors[""]))
    history.history = columns


def _kl(loc: np.ndarray, covariance: np.ndarray, p_loc: np.ndarray, p_precision: np.ndarray) -> float:
    """KL in nats between normals."""
    away = loc - p_loc
    fit = np.sum(covariance * p_precision) + away @ p_precision @ away - len(loc)
    return float(0.5 * (fit - np.linalg.slogdet(p_precision)[1] - np.linalg.slogdet(covariance)[1]))
