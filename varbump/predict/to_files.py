"""Predictions for the rows of a source, written piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from varbump.core.checks import check_shares
from varbump.core.extras import need
from varbump.core.files import new_folder
from varbump.core.progress import ProgressBar
from varbump.data.sources import Rows, Source
from varbump.data.sources.ahead import Ahead
from varbump.predict.wrapped import predict_dist, takes_frames

__all__ = ["predict_columns", "predict_to", "rows_for"]

ROWS = 65_536
"""Rows of a file, at most."""


def predict_to(
    model: Any,
    source: Source,
    path: Any,
    *,
    likelihood: Any = None,
    levels: Sequence[float] = (0.95,),
    num_draws: int = 400,
    seed: int | None = 0,
    verbose: int = 1,
) -> Path:
    """Predict the rows of a source, and write the predictive distribution of each to a folder of Parquet files.

    Parameters
    ----------
    model : tf_keras.Model, source of draws, or estimator
        As in `varbump.predict_dist`; an estimator is given data frames of the features, if these have names.
    source : Source
        Such as ``vb.sources.ParquetSource("folder/")``; y need not be known.
    path : str or path
        Folder to make. It appears when all files are written, and replaces a folder of this name.
    likelihood : likelihood, optional
        As in `varbump.predict_dist`.
    levels : sequence of float, default=(0.95,)
        Levels of the equal-tailed intervals, each in (0, 1).
    num_draws, seed
        As in `varbump.predict_dist`.
    verbose : int, default=1
        0 is silent; otherwise a progress bar is shown on terminals and in notebooks.

    Returns
    -------
    Path
        The folder. Files are named ``part-00000.parquet`` and so on, and have the rows in the order of the source, with
        the columns ``mean``, ``sd``, ``lower_95`` and ``upper_95``, in units of y, noise included. With several
        targets, names begin with that of the target, or its number: ``y0_mean``.

    Raises
    ------
    ImportError
        If pyarrow is missing; install it with ``pip install "varbump[parquet]"``.
    ValueError, TypeError
        As `varbump.predict_dist`, or as the source if an entry cannot be used.
    OSError
        If the folder cannot be written; what was there before stays.
    """
    arrow = need("pyarrow", "predict_to", "parquet")
    parquet = need("pyarrow.parquet", "predict_to", "parquet")
    levels = check_shares(levels, "levels").tolist() if np.size(levels) else []
    targets = getattr(source, "target", None) or None
    options = {"likelihood": likelihood, "levels": levels, "num_draws": num_draws, "seed": seed, "targets": targets}
    with new_folder(path) as folder, ProgressBar(source.num_data, unit="row", verbose=verbose) as progress:
        with Ahead(rows_for(source, model)) as pieces:
            for number, rows in enumerate(pieces):
                columns = predict_columns(model, rows.x, **options)
                parquet.write_table(arrow.table(columns), folder / f"part-{number:05d}.parquet")
                progress.advance(len(rows.x))
    return Path(path)


def rows_for(source: Source, model: Any) -> Iterator[Rows]:
    """Yield all rows in order: data frames for an estimator, if columns have names, otherwise checked arrays."""
    if not takes_frames(model):
        source.check_numbers()
        yield from source.pieces(ROWS)
        return
    for group in range(len(source.groups)):
        yield from source.read_table(group, ROWS)


def predict_columns(
    model: Any,
    x: Any,
    *,
    likelihood: Any = None,
    levels: Sequence[float] = (0.95,),
    num_draws: int = 400,
    seed: int | None = 0,
    targets: Sequence[str] | None = None,
) -> dict[str, np.ndarray]:
    """Predict rows, and return mean, sd and ends of intervals by the names of `predict_to`."""
    parts = []
    for _, of_y in predict_dist(model, x, likelihood=likelihood, num_draws=num_draws, seed=seed).blocks():
        ends = [of_y.quantile(tail) for level in levels for tail in (0.5 - level / 2, 0.5 + level / 2)]
        parts.append(np.stack([*of_y.moments()[:2], *ends], axis=-1))
    values = np.concatenate(parts)  # (N, Q, 2 + 2 L)
    what = ["mean", "sd", *(f"{end}_{100 * level:g}" for level in levels for end in ("lower", "upper"))]
    count = values.shape[1]
    known = targets if targets is not None and len(targets) == count else [f"y{index}" for index in range(count)]
    prefixes = [f"{name}_" for name in known] if count > 1 else [""]
    return {
        f"{prefix}{name}": values[:, q, place] for q, prefix in enumerate(prefixes) for place, name in enumerate(what)
    }
