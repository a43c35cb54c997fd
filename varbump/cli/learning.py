"""Rows into a trained regressor; what the library says against it becomes the user's sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from varbump.cli.errors import UserError
from varbump.core.random import generator

__all__ = ["learn", "library_errors", "split"]


def split(num_rows: int, test_size: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Which rows to train on and which to hold out, in random order; all to train on for a `test_size` of 0."""
    order = generator(seed).permutation(num_rows)
    num_test = min(max(round(test_size * num_rows), 2), num_rows - 2) if test_size else 0
    return order[num_test:], order[:num_test]


def learn(options: dict[str, Any], x: np.ndarray, y: np.ndarray) -> Any:
    """A fitted `VariationalRegressor`.

    Raises
    ------
    UserError
        If an option is out of range, or training fails.
    KeyboardInterrupt
        If it was interrupted: half a training is no model.
    """
    from varbump.estimator import VariationalRegressor

    with library_errors():
        model = VariationalRegressor(**options).fit(x, y[:, 0] if y.shape[1] == 1 else y)
    if model.history_.stopped == "interrupted":
        raise KeyboardInterrupt
    return model


@contextmanager
def library_errors() -> Iterator[None]:
    """Errors about arguments and data, raised anew as UserError."""
    try:
        yield
    except (ValueError, TypeError, ArithmeticError) as error:
        raise UserError(re.sub(r"\s+", " ", str(error))) from error
