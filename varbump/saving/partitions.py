"""Predictions for partitions of a distributed table, by a model that each process loads once."""

from __future__ import annotations

import os
import threading
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from varbump.core.keras import keras
from varbump.predict.to_files import predict_columns
from varbump.predict.wrapped import takes_frames
from varbump.saving.files import load
from varbump.saving.forms import SavedModel

__all__ = ["predict_partition"]

MAX_MODELS = 4
"""Models that a process keeps."""

_lock = threading.Lock()
_models: OrderedDict[tuple[str, int, int], Any] = OrderedDict()


def predict_partition(
    part: Any,
    path: Any,
    *,
    features: Sequence[str] | None = None,
    levels: Sequence[float] = (0.95,),
    num_draws: int = 400,
    seed: int | None = 0,
) -> Any:
    """Predict the rows of a partition by a model in a file, which each process loads once.

    It can be imported, so it is what schedulers send to their workers:
    ``frame.map_partitions(vb.predict_partition, "model.varbump", meta=...)`` with Dask,
    ``frame.mapInPandas(lambda parts: vb.predict_partition(parts, "model.varbump"), schema)`` with Spark, and
    ``rows.map_batches(vb.predict_partition, fn_args=["model.varbump"], batch_format="pandas")`` with Ray.

    Parameters
    ----------
    part : data frame, mapping of str to ndarray, array (N, D), or iterator of these
        Rows. Data frames keep their index.
    path : str or path
        File of `varbump.save`, which all workers can read. A file that has changed is loaded again.
    features : sequence of str, optional
        Columns of a frame or mapping that the model takes. The default is those of the fit if the model knows them,
        otherwise all.
    levels : sequence of float, default=(0.95,)
        Levels of the equal-tailed intervals, each in (0, 1).
    num_draws, seed
        As in `varbump.predict_dist`; estimators have their own.

    Returns
    -------
    data frame, or mapping of str to ndarray (N,)
        Of the kind of `part`, a mapping for arrays, and an iterator for an iterator: columns ``mean``, ``sd``,
        ``lower_95`` and ``upper_95`` in units of y, as of `varbump.predict_to`.

    Raises
    ------
    FileNotFoundError, ArchiveError
        As `varbump.load`.
    ValueError, TypeError
        As `varbump.predict_dist`; also if a network was saved without its likelihood.
    """
    options = {"levels": [float(level) for level in np.atleast_1d(levels)], "num_draws": num_draws, "seed": seed}
    if isinstance(part, Iterator):
        return (_predicted(each, _model(path), features, options) for each in part)
    return _predicted(part, _model(path), features, options)


def _model(path: Any) -> Any:
    """The model in a file, loaded once for each process, path and time of its last change."""
    found = os.stat(path)
    key = os.path.realpath(path), found.st_mtime_ns, found.st_size
    with _lock:
        if key not in _models:
            _models[key] = load(path)
            while len(_models) > MAX_MODELS:
                _models.popitem(last=False)
        _models.move_to_end(key)
        return _models[key]


def _predicted(part: Any, model: Any, features: Sequence[str] | None, options: dict[str, Any]) -> Any:
    likelihood = None
    if isinstance(model, SavedModel):
        model, likelihood = model.network, model.likelihood
    elif isinstance(model, keras.Model):
        raise ValueError("path must hold a model with its likelihood: save(network, path, likelihood=likelihood)")
    known = getattr(model, "feature_names_in_", None)
    names = features if features is not None else None if known is None else list(known)
    is_frame = hasattr(part, "iloc")
    if isinstance(part, Mapping):
        x: Any = np.stack([np.asarray(part[name]) for name in names or part], axis=1)
    else:
        x = part[list(names)] if is_frame and names is not None else part
    if is_frame and not takes_frames(model):
        x = x.to_numpy()
    if len(x):
        columns = predict_columns(model, x, likelihood=likelihood, **options)
    else:
        columns = _of_none(model, likelihood, x, options)
    return type(part)(columns, index=part.index) if is_frame else columns


def _of_none(model: Any, likelihood: Any, x: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Columns of a prediction without rows, as schedulers ask for to learn their names."""
    row = x.reindex([0]) if hasattr(x, "reindex") else np.zeros((1, x.shape[1]))  # of missing cells, of their types
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        columns = predict_columns(model, row, likelihood=likelihood, **options)
    return {name: values[:0] for name, values in columns.items()}
