"""Columns of x that hold codes of categories, which embeddings take: they are checked, and never moved or averaged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from varbump.core.keras import keras
from varbump.forward.apply import observed
from varbump.layers import EmbeddingVariational
from varbump.layers.embedding_variational import check_codes

__all__ = ["check_codes_in", "columns_of_codes", "takes_codes"]

BLOCK = 8192
"""Rows of a pass that looks for codes."""


def takes_codes(network: keras.Model) -> bool:
    """Whether a network has an embedding, whose inputs must be codes."""
    return any(isinstance(layer, EmbeddingVariational) for layer in network._flatten_layers())


def check_codes_in(network: keras.Model, x: np.ndarray, argument: str) -> None:
    """Raise a ValueError unless the embeddings of a network get codes from rows x (N, ...), already validated."""
    for start in range(0, len(x), BLOCK) if takes_codes(network) else ():
        for layer, codes in _given(network, x[start : start + BLOCK]):
            check_codes(layer, codes, argument, start)


def columns_of_codes(network: keras.Model, x: np.ndarray) -> np.ndarray:
    """Which columns of rows x (N, ...) hold what embeddings take, in the shape of a row; none without embeddings."""
    found = np.zeros(x[0].size, bool)
    rows = x[:BLOCK]
    for _, codes in _given(network, rows) if takes_codes(network) else ():
        for column in codes.reshape(len(codes), -1).T:
            found |= (rows.reshape(len(rows), -1) == column[:, None]).all(0)
    return found.reshape(x.shape[1:])


def _given(network: keras.Model, rows: np.ndarray) -> Iterator[tuple[Any, np.ndarray]]:
    """Yield the embeddings of a network and what they take, (B, ...), from some rows of x."""
    for layer, inputs in observed(network, rows):
        if isinstance(layer, EmbeddingVariational):
            yield layer, np.asarray(inputs)
