"""Tables and targets, checked by scikit-learn and turned into numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_array, check_X_y

from varbump.core.array_like import check_array_like, detached
from varbump.core.numeric import refuse_no_numbers
from varbump.estimator.table.cells import cells_of
from varbump.estimator.table.columns import Column, learn_column
from varbump.estimator.table.reading import coded, column_names, is_frame, learn_columns, read_cells

try:
    from sklearn.utils.validation import validate_data

    ALLOW_NAN: dict[str, Any] = {"ensure_all_finite": "allow-nan"}
    NAMES_ONLY: dict[str, Any] = {"skip_check_array": True}
except ImportError:  # scikit-learn 1.5
    ALLOW_NAN, NAMES_ONLY = {"force_all_finite": "allow-nan"}, {"cast_to_ndarray": False}

    def validate_data(estimator: Any, *arrays: Any, **options: Any) -> Any:
        """Equivalent of the function that scikit-learn 1.6 introduced."""
        return estimator._validate_data(*arrays, **options)


__all__ = ["Validated", "validated"]

Validated = tuple[np.ndarray, Any, list[Column], list[str]]
"""Codes of X (N, D), float64 with nan for missing cells; y; the columns, and their names."""


def validated(estimator: Any, X: Any, y: Any = None, columns: list[Column] | None = None, **options: Any) -> Validated:
    """Validate X and y, and turn the columns of X into numbers; errors name the column of X at fault.

    Parameters
    ----------
    estimator : VariationalRegressor
        Its `categorical_features` says which columns are categories; its `n_features_in_` and `feature_names_in_` are
        set in a fit.
    X, y
        As passed; y is None in a prediction.
    columns : list of Column, optional
        Those of the fit, for a prediction.
    **options
        Of `sklearn.utils.check_X_y`, for a fit.
    """
    fits = columns is None
    for value, argument in ((X, "X"), (y, "y")):
        if value is not None or argument == "X":  # as scikit-learn wants it
            check_array_like(value, argument)
    X, y = detached(X), detached(y)
    by_column = is_frame(X) or _has_categories(X, estimator.categorical_features if columns is None else columns)
    for value, argument in ((X, "X"), (y, "y")):
        if value is not None and not (argument == "X" and by_column):
            refuse_no_numbers(value, argument)
    names: list[str] = []
    if by_column:
        validate_data(estimator, X, *([y] if fits else []), reset=fits, **NAMES_ONLY)
        cells = read_cells(X)
        if columns is None:
            columns, names = learn_columns(X, cells, estimator.categorical_features)
        codes = coded(columns, cells)
        if fits:
            codes, y = check_X_y(codes, y, dtype=np.float64, estimator=estimator, **ALLOW_NAN, **options)
        else:
            codes = check_array(codes, dtype=np.float64, input_name="X", estimator=estimator, **ALLOW_NAN)
        return codes, y, columns, names
    options = {**options, **ALLOW_NAN, "dtype": np.float64, "reset": fits}
    try:
        if np.ndim(X) == 1:  # scikit-learn would print all of it
            raise ValueError(
                f"X must have the shape (N, D), got {np.shape(X)}. Reshape your data: X.reshape(-1, 1) if it is one "
                f"feature, X.reshape(1, -1) if it is one row"
            )
        with np.errstate(invalid="ignore"):  # the sum of inf and -inf, by which scikit-learn looks for them
            checked = validate_data(estimator, X, *([y] if fits else []), **options)
    except ValueError:
        _name_text(X)
        raise
    codes, y = checked if fits else (checked, None)
    if columns is None:
        names, said = column_names(X, codes.shape[1])
        columns = [Column(name, "number") for name in said]
    return codes, y, columns, names


def _name_text(X: Any) -> None:
    """Raise a ValueError that names the first column of an array that holds text, with the way out, if there is one."""
    array = np.asarray(X, dtype=object)
    for index, column in enumerate(array.T if array.ndim == 2 else ()):
        cells = cells_of(column)
        if cells.kind in ("text", "other"):
            learn_column(f"column {index}", cells, declared=False, guessed=False)


def _has_categories(X: Any, which: Any) -> bool:
    """Whether an array has columns that are no numbers: by the parameter in a fit, by its columns in a prediction."""
    if isinstance(which, list) and which and isinstance(which[0], Column):
        has_any = any(column.kind != "number" for column in which)
    else:
        has_any = which is not None and not isinstance(which, str) and len(which) > 0
    return has_any and getattr(getattr(X, "dtype", None), "kind", "O") in "OUfiub" and np.ndim(X) == 2
