"""Convergence of chains, assessed on the function, since the weights of a network are not identified."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import mcmc

from varbump.model.checks import check_inputs
from varbump.model.codes import columns_of_codes

__all__ = ["checked_test_points", "default_test_points", "ess_of", "in_range_of", "rhat_of"]

MAX_TEST_POINTS = 64


def checked_test_points(network: Any, x: np.ndarray, x_test: Any) -> np.ndarray:
    """Test points as a network takes them, or the default ones for training rows x if there are none."""
    if x_test is None:
        return default_test_points(x, columns_of_codes(network, x))
    return check_inputs(network, x_test, "x_test")


def default_test_points(x: np.ndarray, codes: np.ndarray | None = None) -> np.ndarray:
    """Choose at most 64 rows over the range of x (N, ...), widened by half its width on either side.

    For one column they are an even grid; for more, rows of x, every other one moved to twice its distance from the
    middle of the range. Columns of `codes` (...) keep their values, and a single one gives each of them once.
    """
    codes = np.zeros(x.shape[1:], bool) if codes is None else codes
    low, high = x.min(0), x.max(0)
    middle, half = (low + high) / 2, (high - low) / 2
    if codes.size == 1 and codes.all():
        x = np.unique(x, axis=0)
    elif x[0].size == 1:
        steps = np.linspace(-2.0, 2.0, MAX_TEST_POINTS).reshape(-1, *[1] * (x.ndim - 1))
        return (middle + half * steps).astype(x.dtype)
    rows = x[np.linspace(0, len(x) - 1, min(len(x), MAX_TEST_POINTS)).astype(int)]
    stretch = np.where(np.arange(len(rows)) % 2, 2.0, 1.0).reshape(-1, *[1] * (x.ndim - 1))
    return np.where(codes, rows, middle + stretch * (rows - middle)).astype(x.dtype)


def in_range_of(x: np.ndarray, x_test: np.ndarray) -> np.ndarray:
    """Whether each test point (M, ...) lies between the smallest and the largest value of each column of x, (M,)."""
    return ((x_test >= x.min(0)) & (x_test <= x.max(0))).reshape(len(x_test), -1).all(1)


def rhat_of(f: np.ndarray) -> np.ndarray:
    """Split R-hat of draws (S, C, ...) of C chains: total sd over sd within half chains, 1 if they agree.

    References
    ----------
    Gelman et al. (2013), "Bayesian Data Analysis", eq. 11.4, with each chain cut in two.
    """
    even = f[: len(f) // 2 * 2]
    rhat = mcmc.potential_scale_reduction(tf.constant(even, tf.float64), 1, split_chains=True).numpy()
    return np.where(_is_constant(f), 1.0, rhat)


def ess_of(f: np.ndarray) -> np.ndarray:
    """Effective sample size of the mean of draws (S, C, ...): the equivalent number of independent draws.

    All C chains count; autocorrelations are truncated by Geyer's criterion of positive pairs.
    """
    with _without_cast_warnings():
        ess = mcmc.effective_sample_size(
            tf.constant(f, tf.float64),
            filter_beyond_positive_pairs=True,
            cross_chain_dims=1 if f.shape[1] > 1 else None,
        ).numpy()
    return np.where(_is_constant(f), f.shape[0] * f.shape[1], ess if f.shape[1] > 1 else ess[0])


def _is_constant(f: np.ndarray) -> np.ndarray:
    """Where all draws are equal, such as at 0 for a function without bias: convergence is trivial there."""
    return (f == f[0, 0]).all((0, 1))


@contextmanager
def _without_cast_warnings() -> Iterator[None]:
    """Suppress the warning of TensorFlow when TFP casts the complex result of a Fourier transform to real."""

    def keep(record: logging.LogRecord) -> bool:
        return "casting an input of type" not in record.getMessage()

    logger = tf.get_logger()
    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)
