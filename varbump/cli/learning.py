"""Training of a regressor, whose errors become errors of the user."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from varbump.cli.errors import UserError
from varbump.core.random import generator

__all__ = ["learn", "library_errors", "settings_of", "split"]


def split(num_rows: int, test_size: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split row indices at random into training and held-out rows; none are held out if `test_size` is 0."""
    order = generator(seed).permutation(num_rows)
    num_test = min(max(round(test_size * num_rows), 2), num_rows - 2) if test_size else 0
    return order[num_test:], order[:num_test]


def settings_of(options: dict[str, Any], verbose: int) -> dict[str, Any]:
    """Parameters of a `VariationalRegressor`, from the options of `varbump.cli.options.of_model`."""
    return {
        "hidden_layer_sizes": options["hidden"],
        "likelihood": options["likelihood"],
        "embedding": None if options["embedding"] == "none" else options["embedding"],
        "posterior": options["posterior"],
        "prior": options["prior"],
        "max_iter": options["max_iter"],
        "n_members": options["members"],
        "random_state": options["seed"],
        "verbose": verbose,
    }


def learn(options: dict[str, Any], x: Any, y: np.ndarray | None, checkpoint: Any = None) -> Any:
    """Fit a `VariationalRegressor` to rows, or to a source, which has y and may have a folder for its state.

    Raises
    ------
    UserError
        If an option is out of range, or training fails.
    KeyboardInterrupt
        If training was interrupted, since a half-trained model is of no use.
    """
    from varbump.estimator import VariationalRegressor

    with library_errors():
        model = VariationalRegressor(**options)
        if checkpoint is not None:
            model.fit_with_checkpoint(x, checkpoint)
        else:
            model.fit(x, y[:, 0] if y is not None and y.shape[1] == 1 else y)
    if model.history_.stopped == "interrupted":
        raise KeyboardInterrupt
    return model


@contextmanager
def library_errors() -> Iterator[None]:
    """Convert errors about arguments and data to UserError."""
    try:
        yield
    except (ValueError, TypeError, ArithmeticError) as error:
        raise UserError(re.sub(r"\s+", " ", str(error))) from error
