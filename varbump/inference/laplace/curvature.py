"""What the data say about the weights: log likelihood, gradient and curvature at their present values."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from varbump.core.interrupts import safe_point
from varbump.forward.jacobian import NOT_DIFFERENTIABLE
from varbump.inference.laplace.response import Response

__all__ = ["Curvature", "curvature_of"]

NEGATIVE = 1e-6
"""Relative size up to which a negative eigenvalue is a rounding error."""


class Curvature(NamedTuple):
    r"""Sums over the data, in double precision.

    Attributes
    ----------
    log_likelihood : float
        Nats.
    gradient : ndarray (P,)
        Of the log likelihood with respect to the weights.
    precision : ndarray (P, P) or (P,)
        The generalised Gauss-Newton matrix :math:`\sum_n J_n^T H_n J_n`, or its diagonal.
    squared_error : float
        Sum of squares of y - f, if there are as many outputs as columns of y; otherwise nan.
    num_clipped : int
        Rows whose H had a negative eigenvalue, which was set to 0.
    """

    log_likelihood: float
    gradient: np.ndarray
    precision: np.ndarray
    squared_error: float
    num_clipped: int


def curvature_of(response: Response, likelihood: Any, x: np.ndarray, y: np.ndarray, *, diagonal: bool) -> Curvature:
    """Sum over blocks of rows x (N, ...), y (N, Q).

    Raises
    ------
    ValueError
        If the likelihood cannot be differentiated twice, if something is not finite, or if no weight has an influence
        on the likelihood.
    """
    size = response.block_size(len(x))
    log_likelihood, squared_error, num_clipped = 0.0, 0.0, 0
    gradient: Any = 0.0
    precision: Any = 0.0
    for start in range(0, len(x), size):
        safe_point()
        rows = slice(start, min(start + size, len(x)))
        piece = x[rows]
        if len(piece) < size:  # one shape, one compilation
            piece = np.concatenate([piece, np.repeat(x[:1], size - len(piece), axis=0)])
        f, jacobian = (part[: rows.stop - start] for part in response(piece))
        nll, slope, hessian = _derivatives(likelihood, y[rows], f)
        _check_finite(start, f=f, jacobian=jacobian, nll=nll, slope=slope, hessian=hessian)
        root, clipped = _root(hessian)
        jacobian = jacobian.astype(np.float64)
        scaled = (np.swapaxes(root, 1, 2) @ jacobian).reshape(-1, jacobian.shape[-1])
        log_likelihood -= float(nll.sum())
        gradient = gradient - np.tensordot(slope, jacobian, 2)
        precision = precision + (np.sum(scaled**2, axis=0) if diagonal else scaled.T @ scaled)
        squared_error += float(np.sum((y[rows] - f) ** 2.0)) if f.shape == y[rows].shape else np.nan
        num_clipped += clipped
    if not precision.any():
        raise ValueError(
            f"no weight has any influence on the curvature of {type(likelihood).__name__} at these data: the network "
            f"is constant in its weights there, or the log density is not curved; check the network and the likelihood"
        )
    return Curvature(log_likelihood, gradient, precision, squared_error, num_clipped)


def _derivatives(likelihood: Any, y: np.ndarray, f: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Negative log-likelihood of each row (B,), its gradient (B, Q) and its Hessian (B, Q, Q) with respect to f."""
    at = tf.constant(f)
    try:
        with tf.GradientTape(persistent=True) as outer:
            outer.watch(at)
            with tf.GradientTape() as inner:
                inner.watch(at)
                nll = likelihood.nll(tf.constant(y), at)
            slope = inner.gradient(nll, at, unconnected_gradients="zero")
            columns = tf.unstack(slope, axis=-1)
        hessian = [outer.gradient(column, at, unconnected_gradients="zero") for column in columns]
    except NOT_DIFFERENTIABLE as error:
        raise ValueError(
            f"the log density of {type(likelihood).__name__} cannot be differentiated twice with respect to f "
            f"({type(error).__name__}: {str(error)[:100]}), and laplace needs its curvature; use sample_nuts, which "
            f"needs the gradient only"
        ) from error
    return tuple(np.asarray(part, np.float64) for part in (nll, slope, tf.stack(hessian, axis=1)))  # type: ignore[return-value]


def _root(hessian: np.ndarray) -> tuple[np.ndarray, int]:
    """R (B, Q, Q) with R R^T the positive part of H, and the number of rows with a negative part."""
    values, vectors = np.linalg.eigh(0.5 * (hessian + np.swapaxes(hessian, 1, 2)))
    is_negative = values.min(axis=1) < -NEGATIVE * np.abs(values).max()
    return vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :], int(is_negative.sum())


def _check_finite(start: int, **arrays: np.ndarray) -> None:
    """Raise a ValueError that names the first row (counted from `start`) where something is not finite."""
    named = {
        "f": "the network gives nan or infinity",
        "jacobian": "the gradient of the network with respect to its weights is not finite",
        "nll": "the log density of y is not finite",
        "slope": "the gradient of the log density of y is not finite",
        "hessian": "the curvature of the log density of y is not finite",
    }
    for name, array in arrays.items():
        bad = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
        if bad.any():
            raise ValueError(
                f"{named[name]} in row {start + int(np.argmax(bad))} of the data; laplace needs a network that has "
                f"been trained, and x and y of a scale near 1"
            )
