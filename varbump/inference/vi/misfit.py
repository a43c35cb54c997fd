"""Warning after a training run that has failed because of the scale of its data."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import tensorflow as tf

from varbump.inference.vi.history import History
from varbump.likelihoods.checks import outputs_needed, standardises
from varbump.model.codes import columns_of_codes
from varbump.model.scale import far_from_unit_scale

__all__ = ["warn_of_misfit"]

MARGIN = 0.5
"""Nats per observation by which a fit must be worse than a constant: more than the noise of its last epoch."""

MAX_MEAN = 20.0
"""Larger means are out of the reach of runs of ordinary length."""

LEVELS = (1e-2, 1e2)
"""Means of y, relative to the offset of a log link, that a network reaches from f = 0."""

SMALLEST_SD = 1e-3
"""Smallest noise, relative to the mean of y, that is expected of the fit of a constant y."""


def warn_of_misfit(
    history: History, likelihood: Any, x: np.ndarray, y: np.ndarray, weights: Any = None, *, network: Any = None
) -> None:
    """Warn if x or y is far from unit scale and the fit is worse than a constant function.

    Both are needed: on data of unit scale such a fit is merely unfinished, and data of another scale may be fitted well
    nevertheless.

    Parameters
    ----------
    x, y : ndarray (N, ...), (N, ..., Q)
        Training data, already validated.
    weights : array-like (N,) or (N, K), optional
        `sample_weight` of the fit; of members that differ, their mean.
    network : tf_keras.Model, optional
        The trained one: columns of x that it takes as codes have no scale.
    """
    if history.stopped == "interrupted" or not history.epoch:
        return
    far = _far(likelihood, x, y, network)
    constant = _constant_nll(likelihood, y.astype(float), weights) if far else None
    nll = history.history["nll"][-1]
    if constant is not None and nll > constant + MARGIN:
        remedy = "y" if standardises(likelihood) else "set the offset of the likelihood to the log of the level of y"
        warnings.warn(
            f"the fit is worse than a constant: its nll is {nll:.4g} nats per observation, that of a constant "
            f"{constant:.4g}; {far}, far from the unit scale that priors and initial values assume: standardise x and "
            f"{remedy}, or use varbump.VariationalRegressor, which does both",
            UserWarning,
            stacklevel=4,  # the caller of fit, which has a decorator
        )


def _far(likelihood: Any, x: np.ndarray, y: np.ndarray, network: Any = None) -> str:
    """Describe the first column far from unit scale, of y before x; "" if there is none."""
    found = [("y", *column) for column in far_from_unit_scale(y, MAX_MEAN)]
    if getattr(likelihood, "unit", None) is not None:  # f = 0 and f = 1 stand for an origin and a unit in y
        placed = (y - np.asarray(likelihood.offset)) / np.asarray(likelihood.unit)
        still = {index for index, *_ in far_from_unit_scale(placed, MAX_MEAN)}
        found = [column for column in found if column[1] in still]
    elif not standardises(likelihood) and not hasattr(likelihood, "unit"):  # f = 0 stands for exp(offset)
        start = np.broadcast_to(np.exp(getattr(likelihood, "offset", None) or 0.0), y.shape[1:]).ravel()
        found = [column for column in found if not LEVELS[0] <= abs(column[2]) / start[column[1]] <= LEVELS[1]]
    codes = None if network is None else columns_of_codes(network, x)
    found += [("x", *column) for column in far_from_unit_scale(x, MAX_MEAN, codes)]
    return "column {1} of {0} has mean {2:.3g} and sd {3:.3g}".format(*found[0]) if found else ""


def _constant_nll(likelihood: Any, y: np.ndarray, weights: Any) -> float | None:
    """Nll, in nats per observation, that a constant function reaches; None if unknown."""
    share = np.ones(len(y)) if weights is None else np.asarray(weights, float).reshape(len(y), -1).mean(axis=1)
    share = share / share.sum()
    mean = np.tensordot(share, y, 1)
    sd = np.sqrt(np.tensordot(share, np.square(y - mean), 1))
    if not standardises(likelihood):
        return _placed_nll(likelihood, y, share)
    if likelihood.noise() is None:
        return None
    if getattr(likelihood, "trainable_variables", None) or likelihood.scale_varies:
        sd = np.maximum(sd, SMALLEST_SD * np.abs(mean))
        return float(np.sum(np.log(sd) + 0.5 * np.log(2.0 * np.pi * np.e))) if sd.all() else None
    nll = likelihood.nll(tf.constant(y), tf.constant(np.broadcast_to(mean, y.shape)))
    return float(share @ np.reshape(nll, (len(y), -1)).sum(1))


def _placed_nll(likelihood: Any, y: np.ndarray, share: np.ndarray) -> float | None:
    """Nll of f = 0 under a likelihood of the same class whose level is that of y."""
    columns = y.reshape(-1, y.shape[-1])
    try:
        placed = type(likelihood).for_table(columns, float(np.finfo(np.float32).eps))
        f = tf.zeros([len(columns), outputs_needed(placed, columns.shape[1])], tf.float64)
        nll = np.asarray(placed.nll(tf.constant(columns), f))
    except (AttributeError, TypeError, ValueError):
        return None
    return float(share @ nll.reshape(len(y), -1).sum(1))
