"""The encoder of a table, from the weighted rows of a fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from varbump.estimator.table.columns import Column
from varbump.estimator.table.completion import completed
from varbump.estimator.table.encoding import TableEncoder, encoded_columns, is_numeric, is_plain
from varbump.estimator.table.informative import informative
from varbump.estimator.table.inputs import spread
from varbump.estimator.table.missing import JointNormal, fit_joint_normal

__all__ = ["fit_encoder"]


def fit_encoder(
    source: Sequence[Column],
    names: Sequence[str],
    codes: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray,
    *,
    indicates_all: bool = False,
) -> tuple[TableEncoder, np.ndarray]:
    """Complete the columns with what depends on the weighted rows, and return the encoder and the inputs.

    Parameters
    ----------
    source : sequence of Column (D,)
    names : sequence of str (D,)
    codes, y : ndarray (N, D), (N, Q)
        Distinct rows with positive weights.
    weights : ndarray (N,)
    indicates_all : bool, default=False
        Whether each column of numbers with missing cells gets an indicator: the noise of a row is larger where they are
        missing, and a likelihood whose scale depends on the inputs can learn this. Otherwise only columns where it
        matters for y that a cell is missing get one, see `informative`.

    Returns
    -------
    encoder : TableEncoder
    x : ndarray (N, D')

    Raises
    ------
    ValueError
        If no column is left to learn from.

    Warns
    -----
    UserWarning
        If a column looks like identifiers, which are ignored.
    """
    source, codes = list(source), codes.copy()
    for index, column in enumerate(source):
        source[index], codes[:, index] = completed(column, codes[:, index], weights)
    if not encoded_columns(source, names):
        raise ValueError("X has no column to learn from: all of them are empty, or hold identifiers")
    joint, x = _filled(source, names, codes, weights)
    gaps = [index for index, column in enumerate(source) if column.has_missing and column.kind != "category"]
    matters = np.ones(len(gaps), dtype=bool) if indicates_all else informative(x, np.isnan(codes[:, gaps]), y, weights)
    if matters.any():
        for index in np.array(gaps)[matters]:
            source[index] = replace(source[index], has_indicator=True)
        joint, x = _filled(source, names, codes, weights)
    return TableEncoder(source, names, joint), x


def _filled(
    source: Sequence[Column], names: Sequence[str], codes: np.ndarray, weights: np.ndarray
) -> tuple[JointNormal, np.ndarray]:
    x = codes if is_plain(source) else spread(source, codes)
    joint = fit_joint_normal(x, weights, is_numeric(encoded_columns(source, names)))
    return joint, joint.fill(x)
