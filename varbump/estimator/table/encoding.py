"""From columns to the inputs of a network: finite numbers, and indicators of levels and of missing cells."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
from sklearn.preprocessing import StandardScaler

from varbump.estimator.table.columns import Column
from varbump.estimator.table.inputs import inputs_of, spread
from varbump.estimator.table.missing import JointNormal

__all__ = ["EncodedColumn", "TableEncoder", "encoded_columns", "is_numeric", "is_plain"]


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
