"""A source of tables as the regressor trains on it: encoded and standardised, with scales from one pass."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from sklearn.preprocessing import StandardScaler

from varbump.core.extras import need
from varbump.core.random import generator
from varbump.data.sources import Moments, Rows, Source
from varbump.estimator.arguments import architecture, training_options
from varbump.estimator.candidates import ARGUMENTS, AUTO, Candidate
from varbump.estimator.state import TrainedEnsemble
from varbump.estimator.table.encoding import TableEncoder, is_numeric
from varbump.inference.ensemble.fitting import fit_ensemble
from varbump.model.assembly import build_network

__all__ = ["EncodedSource", "candidate_for_source", "sampled", "scalers", "train_on_source"]

SAMPLE_ROWS = 65_536
"""Rows from which columns, levels and missing cells are learned."""

CANDIDATE = Candidate((50, 50), "normal", None, 60_000)
"""What "auto" stands for: large tables reward depth, and pooling would keep all rows of all folds apart."""

CONSTANT = 1e-12
"""Relative sd below which a column counts as constant, and is not divided by it."""


Encode = Callable[[Any], np.ndarray]


class Scalers(NamedTuple):
    """Scalers of inputs and of y, from all rows."""

    x: StandardScaler
    y: StandardScaler


class EncodedSource(Source):
    """The rows of another source, as inputs of the networks and standardised y.

    Parameters
    ----------
    source : Source
    encode : callable
        Maps x to finite inputs (n, D').
    plain : bool
        Whether `encode` takes numbers, as `Source.read` has them, and not x of `Source.read_table`.
    scalers : Scalers or None
        None leaves inputs and y in their units.
    num_inputs : int
        D'.
    """

    def __init__(self, source: Source, encode: Encode, plain: bool, scalers: Scalers | None, num_inputs: int) -> None:
        super().__init__(block_rows=source.block_rows)
        self._source, self._encode, self._plain, self._scalers = source, encode, plain, scalers
        self.groups, self.x_shape, self.y_shape = source.groups, (num_inputs,), source.y_shape
        self.weighted, self.random_order = source.weighted, source.random_order
        self.dtype = np.dtype(np.float64 if scalers is None else np.float32)

    def read(self, group: int, size: int) -> Iterator[Rows]:
        """Yield the rows of a group as the source has them."""
        return (self._source.read if self._plain else self._source.read_table)(group, size)

    def read_part(self, group: int, size: int, part: int, of: int) -> Iterator[tuple[range, Rows]]:
        """Yield every row of a group whose number is `part` modulo `of`, with the numbers."""
        found = self._source.read_part if self._plain else super().read_part
        return found(group, size, part, of)

    def transformed(self, rows: Rows) -> Rows:
        """Inputs of the networks and standardised y."""
        x, y, weights = rows
        if len(y):
            with warnings.catch_warnings():  # of missing cells in columns whose sample had none: they are filled
                warnings.simplefilter("ignore", UserWarning)
                x = self._encode(x)
        if self._scalers is not None and len(y):
            x, y = self._scalers.x.transform(x), self._scalers.y.transform(y)
        return Rows(np.reshape(x, (len(y), *self.x_shape)), y, weights)

    @property
    def digest(self) -> str | None:
        """Of the rows of the source, and of the scales; the encoder follows from both."""
        own = self._source.digest
        if own is None or self._scalers is None:
            return own
        scales = [scale for scaler in self._scalers for scale in (scaler.mean_, scaler.scale_)]
        return hashlib.sha256(own.encode() + b"".join(scale.tobytes() for scale in scales)).hexdigest()

    def place(self, group: int, row: int) -> str:
        """That of the source."""
        return self._source.place(group, row)

    def column(self, index: int) -> str:
        """An input by its number, a target or the weight as the source calls it."""
        before = int(np.prod(self._source.x_shape))
        inputs = self.x_shape[0]
        return f"input {index}" if index < inputs else self._source.column(before + index - inputs)


def sampled(source: Source, seed: int) -> Rows:
    """Rows of a source from the beginnings of groups in random order, at most `SAMPLE_ROWS`."""
    share = -(-SAMPLE_ROWS // len(source.groups)) if len(source.groups) > 1 else SAMPLE_ROWS
    parts: list[Rows] = []
    left = SAMPLE_ROWS
    for group in generator(seed, 0).permutation(len(source.groups)).tolist():
        part = next(source.read_table(group, min(share, left)), None)
        if part is not None:
            parts.append(part)
            left -= len(part.y)
        if left <= 0:
            break
    weights = [np.ones(len(p.y)) if p.sample_weight is None else p.sample_weight for p in parts]
    y, xs = np.concatenate([part.y for part in parts]), [part.x for part in parts]
    if not hasattr(xs[0], "iloc"):
        return Rows(np.concatenate(xs), y, np.concatenate(weights))
    pandas = need("pandas", "VariationalRegressor on a source", "parquet")
    return Rows(pandas.concat(xs, ignore_index=True), y, np.concatenate(weights))


def scalers(source: Source, encode: Encode, encoder: TableEncoder, standardises: bool) -> Scalers:
    """Scalers from the moments of all encoded rows; indicators, and y of counts, stay as they are."""
    x, y = EncodedSource(source, encode, encoder.is_plain, None, len(encoder.columns)).moments()
    return Scalers(_scaler(x, is_numeric(encoder.columns)), _scaler(y, np.full(y.mean.shape, standardises)))


def _scaler(moments: Moments, scaled: np.ndarray) -> StandardScaler:
    scaler = StandardScaler()
    scaler.n_features_in_, scaler.n_samples_seen_ = len(moments.mean), moments.count
    scaler.var_ = np.where(scaled, moments.sd**2, 1.0)
    scaler.mean_ = np.where(scaled, moments.mean, 0.0)
    constant = moments.sd <= CONSTANT * np.abs(moments.mean)
    scaler.var_[scaled & constant] = 0.0
    scaler.scale_ = np.where(scaled & ~constant, moments.sd, 1.0)
    return scaler


def candidate_for_source(parameters: Mapping[str, Any]) -> Candidate:
    """The one model that is trained on a source.

    Raises
    ------
    ValueError
        If a parameter needs all rows at once.
    """
    if parameters["early_stopping"]:
        raise ValueError("early_stopping cannot be used with a source: pass max_iter, or fit arrays")
    if parameters["embedding"] not in (AUTO, None):
        raise ValueError("embedding must be 'auto' or None with a source: a forest needs all rows at once")
    given = {name: parameters[name] for name in ARGUMENTS}
    given = {name: value for name, value in given.items() if not (isinstance(value, str) and value == AUTO)}
    return CANDIDATE._replace(**{**given, "embedding": None})


def train_on_source(
    candidate: Candidate,
    encoded: EncodedSource,
    sample: np.ndarray,
    tied: list[int],
    parameters: Mapping[str, Any],
    seed: int,
    checkpoint: Any = None,
) -> TrainedEnsemble:
    """Train the ensemble of a candidate.

    Parameters
    ----------
    candidate : Candidate
    encoded : EncodedSource
    sample : ndarray (M, Q)
        Standardised y, to which the likelihood is adapted.
    tied : list of int
        Sizes of groups of inputs whose weights share a scale.
    parameters : mapping
        Those of the regressor.
    seed : int
    checkpoint : str or path, optional
        As in `varbump.fit`.
    """
    arguments = architecture(candidate, encoded.x_shape[0], tied, sample, parameters, seed)
    ensemble = fit_ensemble(
        build_network(**arguments),
        arguments["likelihood"],
        encoded,
        num_members=int(parameters["n_members"]),
        **training_options(parameters, encoded.num_data, candidate.num_steps, min_epochs=1),
        seed=seed,
        checkpoint=checkpoint,
        verbose=int(parameters["verbose"]),
    )
    return TrainedEnsemble(arguments, ensemble)
