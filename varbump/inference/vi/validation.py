"""Validation data as one batch, padded to one of a few sizes, so that folds of about a size share a program."""

from __future__ import annotations

import numpy as np

from varbump.inference.vi.loss import Batch

__all__ = ["padded_batch", "padded_size"]

MULTIPLE = 64
"""Sizes are multiples of this many rows."""


def padded_size(num_rows: int) -> int:
    """Size of a batch of this many rows."""
    return -(-num_rows // MULTIPLE) * MULTIPLE


def padded_batch(x: np.ndarray, y: np.ndarray, row_weights: np.ndarray | None = None, size: int | None = None) -> Batch:
    """Batch of some rows, and of rows of weight 0, in the precision of x.

    Parameters
    ----------
    x, y : ndarray (N, ...), (N, ...)
    row_weights : ndarray (N,), optional
        By default, all of the N rows count equally.
    size : int, optional
        Size of the batch, by default that of N rows.
    """
    size = padded_size(len(x)) if size is None else size
    rows = np.arange(size) * (np.arange(size) < len(x))
    weights = np.zeros(size)
    weights[: len(x)] = 1.0 / len(x) if row_weights is None else row_weights
    return Batch(x[rows], y[rows], weights.astype(x.dtype))
