"""Options of a training run, validated once; a checkpoint is matched by them."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeVar

import numpy as np

from varbump.core.checks import check_array, check_count, check_rows_match
from varbump.data.sources import Source

__all__ = ["OF_WORKERS", "Options", "takes_options_of"]

Function = TypeVar("Function", bound=Callable[..., Any])

EPOCHS, NUM_STEPS = 200, 5_000
"""Length of an ordinary run, whichever is longer: a learned noise scale needs thousands of steps."""

OF_WORKERS = frozenset({"strategy", "average_every"})
"""Options of several workers, which are those of `varbump.fit` only."""

BATCH_SIZE, MAX_WHOLE = 32, 256
"""Default number of rows per step, and the largest table of which every step of an open run sees all rows."""


@dataclass(frozen=True)
class Options:
    """Keyword arguments of `varbump.fit`, which documents them.

    Raises
    ------
    ValueError
        If an option is out of range.
    """

    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: Any = None
    schedule: Any = "cosine"
    kl_warmup: float = 0.1
    temperature: float = 1.0
    num_samples: int = 1
    optimizer: Any = None
    sample_weight: Any = None
    validation_data: Any = None
    patience: int | None = None
    seed: int | None = None
    checkpoint: Any = None
    strategy: Any = None
    average_every: int | None = None
    verbose: int = 1

    def __post_init__(self) -> None:
        for name in ("epochs", "patience", "batch_size", "average_every", "num_samples"):
            if getattr(self, name) is not None or name == "num_samples":
                object.__setattr__(self, name, check_count(getattr(self, name), name))
        if self.average_every is not None and self.strategy is None:
            raise ValueError("average_every belongs to a strategy: pass strategy=tf.distribute.MirroredStrategy(), say")
        if self.optimizer is not None and self.learning_rate is not None:
            raise ValueError(
                "learning_rate belongs to the built-in Adam; set that of `optimizer` on the optimizer itself"
            )
        is_pair = isinstance(self.validation_data, (tuple, list)) and len(self.validation_data) == 2
        if self.validation_data is not None and not is_pair and not isinstance(self.validation_data, Source):
            raise ValueError("validation_data must be a pair (x, y)")

    @property
    def leaves_the_method_open(self) -> bool:
        """Whether no option speaks about stochastic optimisation, so that an exact solution may take its place."""
        names = ("epochs", "optimizer", "learning_rate", "patience", "checkpoint")
        return all(getattr(self, name) is None for name in names) and self.schedule == "cosine"

    @property
    def seeks_convergence(self) -> bool:
        """Whether the run ends when it has settled: no option says how long it is, or sets the learning rates."""
        given = (self.epochs, self.optimizer, self.patience)
        a_number = self.learning_rate is None or isinstance(self.learning_rate, Real)
        return all(option is None for option in given) and self.schedule == "cosine" and a_number

    def rows_a_step(self, num_rows: int) -> int:
        """Batch size: the given one, or all rows if there are few and the length of the run is open."""
        takes_all = self.batch_size is None and self.seeks_convergence and num_rows <= MAX_WHOLE
        return num_rows if takes_all else min(self.batch_size or BATCH_SIZE, num_rows)

    def num_epochs(self, steps_an_epoch: int) -> int:
        """Number of epochs of an ordinary run."""
        return self.epochs or max(EPOCHS, -(-NUM_STEPS // steps_an_epoch))

    def row_weights(self, x: np.ndarray, num_members: int = 1) -> tuple[np.ndarray | None, float]:
        """`sample_weight` scaled to mean 1, (N,) or (N, K), and its sum before scaling, the N of the ELBO.

        Weights of K members, each of a column of its own, have the mean of their sums.
        """
        if self.sample_weight is None:
            return None, float(len(x))
        weights = check_array(self.sample_weight, "sample_weight", x.dtype.name)
        check_rows_match(x, weights, "x", "sample_weight")
        if weights.ndim != 2 or weights.shape[1] not in (1, num_members):
            a_member = f", or one for each of {num_members} members" if num_members > 1 else ""
            raise ValueError(f"sample_weight must have one number a row{a_member}, got shape {weights.shape}")
        if (weights < 0).any() or not (weights.sum(axis=0) > 0).all():
            raise ValueError("sample_weight must not be negative, nor all zero")
        totals = weights.sum(axis=0, dtype=np.float64)
        scaled = (weights * (len(x) / totals)).astype(weights.dtype)
        return scaled[:, 0] if len(totals) == 1 else scaled, float(totals.mean())

    def arguments(self) -> dict[str, Any]:
        """Options that determine the result of a run, except the seed; data are compared by checksum elsewhere."""
        names = {field.name for field in dataclasses.fields(self)}
        names -= {"sample_weight", "validation_data", "seed", "checkpoint", "verbose"}
        names -= OF_WORKERS  # a run of several workers adds their number
        return {name: getattr(self, name) for name in sorted(names)}


def takes_options_of(function: Callable[..., Any], but: Collection[str] = ()) -> Callable[[Function], Function]:
    """Decorate a function whose ``**options`` are those of another `but` for some: complete signature and docstring.

    In the docstring, a line ``{options}`` is replaced by the descriptions of those that it does not describe itself.
    """

    def decorate(target: Function) -> Function:
        own = inspect.signature(target)
        given = [p for p in own.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        names = {p.name for p in given}
        added = [
            p
            for p in inspect.signature(function).parameters.values()
            if p.kind is inspect.Parameter.KEYWORD_ONLY and p.name not in {*names, *but}
        ]
        target.__signature__ = own.replace(parameters=[*given, *added])  # type: ignore[attr-defined]
        texts = _parameters(inspect.cleandoc(function.__doc__ or ""))
        described = "\n".join(text for name, text in texts.items() if name in {p.name for p in added})
        target.__doc__ = inspect.cleandoc(target.__doc__ or "").replace("{options}", described)
        return target

    return decorate


def _parameters(docstring: str) -> dict[str, str]:
    """Entries of the Parameters section of a NumPy docstring without indentation, by name."""
    section = docstring.split("Parameters\n----------\n", 1)[1].split("\n\nReturns", 1)[0]
    entries = re.split(r"\n(?=\w)", "\n" + section)
    return {name: entry for entry in entries if entry.strip() for name in re.split(r", | : ", entry.strip())[:1]}
