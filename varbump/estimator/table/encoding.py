"""From columns to the inputs of a network: finite numbers, and indicators of levels and of missing cells."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple

import numpy as np
from sklearn.preprocessing import StandardScaler

from varbump.estimator.table.columns import Column
from varbump.estimator.table.completion import completed
from varbump.estimator.table.informative import informative
from varbump.estimator.table.inputs import inputs_of, spread
from varbump.estimator.table.missing import JointNormal, fit_joint_normal

__all__ = ["EncodedColumn", "TableEncoder", "encoded_columns", "fit_encoder", "is_numeric"]


class EncodedColumn(NamedTuple):
    """One input of the network.

    Attributes
    ----------
    name : str
    origin : int
        Index of the column of the table.
    kind : str
        "numeric", standardised before it reaches the network, or "indicator", 0 or 1.
    """

    name: str
    origin: int
    kind: str


class TableEncoder:
    """Columns of a table as inputs of a network.

    A category has an indicator for each level, and one that is never active in the fit: its weights keep their prior,
    whose scale is that of all levels of the column, so a level that the fit has not seen gets the answer of the prior,
    and a wider band. A missing level is a level. A missing number is its expectation given the other cells, where it
    matters with an indicator, so that the network can correct it: E[y | what is there] is not f at the expectation.

    Parameters
    ----------
    source : sequence of Column (D,)
        Columns of the table, as `fit_encoder` completes them.
    names : sequence of str (D,)
    joint : JointNormal
        Joint distribution of the inputs, which fills missing numbers.

    Attributes
    ----------
    source, names, joint
    columns : tuple of EncodedColumn (D',)
        The inputs.
    is_plain : bool
        Whether the table is a matrix of numbers without missing cells, which reaches the network as it is.
    """

    def __init__(self, source: Sequence[Column], names: Sequence[str], joint: JointNormal) -> None:
        self.source, self.names, self.joint = tuple(source), tuple(names), joint
        self.columns = encoded_columns(self.source, self.names)
        self.is_plain = is_plain(self.source)

    @property
    def tied(self) -> list[int]:
        """Sizes of consecutive groups of inputs whose weights share one scale: those of a category, or a single one."""
        sizes: list[int] = []
        for column, name in zip(self.source, self.names, strict=True):
            count = len(inputs_of(column, name))
            sizes += [count] if column.kind == "category" else [1] * count
        return sizes

    def transform(self, codes: np.ndarray) -> np.ndarray:
        """Return codes (N, D), nan where missing, as finite inputs (N, D').

        Warns
        -----
        UserWarning
            If cells are missing in a column of numbers that had none missing in the fit: they are filled, but the
            network has not learned what that costs.
        """
        for index, column in enumerate(self.source):
            unexpected = column.kind not in ("category", "ignored") and not column.has_missing
            if unexpected and np.isnan(codes[:, index]).any():
                warnings.warn(
                    f"{column.name} of X has missing cells but had none in the fit; they are filled with what the "
                    f"other columns lead to expect, and the bands do not widen for them",
                    UserWarning,
                    stacklevel=4,
                )
        return self.joint.fill(codes if self.is_plain else spread(self.source, codes))

    def scaler(self, x: np.ndarray, weights: np.ndarray) -> StandardScaler:
        """Fit the scaler of inputs x (N, D') with weights (N,); it leaves indicators as they are."""
        scaler = StandardScaler().fit(x, sample_weight=weights)
        indicators = [column.kind == "indicator" for column in self.columns]
        scaler.mean_[indicators], scaler.scale_[indicators] = 0.0, 1.0
        return scaler

    def relevance(self, scales: np.ndarray, scaler: StandardScaler) -> np.ndarray:
        r"""Return the relevance of each column of the table (D,) from the scales of the weights of the inputs (D',).

        That of a column is the sd of what its inputs add to a hidden unit, for weights drawn from the prior:
        :math:`(\sum_j t_j^2 \operatorname{var} x_j)^{1/2}`, which is :math:`t_j` for a standardised number, and 0 for a
        constant column.
        """
        sds = np.sqrt(scaler.var_) / scaler.scale_
        result = np.zeros(len(self.source), scales.dtype)
        for origin, group in groupby(range(len(self.columns)), key=lambda index: self.columns[index].origin):
            inputs = list(group)
            if len(inputs) == 1 and scaler.var_[inputs[0]] != 0.0:
                result[origin] = scales[inputs[0]]  # to the last bit
            else:
                result[origin] = np.sqrt(np.sum((scales[inputs] * sds[inputs]) ** 2))
        return result


def encoded_columns(source: Sequence[Column], names: Sequence[str]) -> tuple[EncodedColumn, ...]:
    """Return the inputs that columns make."""
    parts = enumerate(map(inputs_of, source, names))
    return tuple(EncodedColumn(name, origin, kind) for origin, inputs in parts for name, kind in inputs)


def is_numeric(columns: Sequence[EncodedColumn]) -> np.ndarray:
    """Whether each input is numeric (D',)."""
    return np.array([column.kind == "numeric" for column in columns], dtype=bool)


def is_plain(source: Sequence[Column]) -> bool:
    """Whether all columns are numbers without missing cells."""
    return all(column.kind == "number" and not column.has_missing for column in source)


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
