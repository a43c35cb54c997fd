"""Cells of columns, by dtype and content."""

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from varbump.estimator.table.cells import as_levels, cells_of

UTC = datetime.timezone.utc

NAN = np.nan

COLUMNS = {
    "floats": (pd.Series([1.5, None]), "number", [1.5, NAN]),
    "booleans": (pd.Series([True, False]), "number", [1.0, 0.0]),
    "nullable integers": (pd.array([3, None], dtype="Int64"), "number", [3.0, NAN]),
    "nullable floats": (pd.array([0.5, None], dtype="Float64"), "number", [0.5, NAN]),
    "nullable booleans": (pd.array([True, None], dtype="boolean"), "number", [1.0, NAN]),
    "numbers among objects": (pd.Series([Decimal("0.5"), np.int8(2), None], dtype=object), "number", [0.5, 2.0, NAN]),
    "an integer beyond floats": (np.array([10**400, None], dtype=object), "number", [np.inf, NAN]),
    "nothing": (pd.Series([None, pd.NA, NAN], dtype=object), "none", [NAN, NAN, NAN]),
    "dates": (pd.Series(pd.to_datetime(["1970-01-03", None])), "date", [2.0, NAN]),
    "dates among objects": (np.array([datetime.date(1970, 1, 3), None], dtype=object), "date", [2.0, NAN]),
    "hours": (pd.Series(pd.to_datetime(["1970-01-01 06:00", "1969-12-31 12:00"])), "date", [0.25, -0.5]),
    "dates of a zone": (pd.Series(pd.to_datetime(["1970-01-01 06:00+03:00", None])), "date", [0.125, NAN]),
    "dates of zones": (
        np.array([datetime.datetime(1970, 1, 2, tzinfo=UTC), pd.Timestamp("1970-01-01 06:00+06:00"), pd.NaT], object),
        "date",
        [1.0, 0.0, NAN],
    ),
    "durations": (pd.Series(pd.to_timedelta(["12h", None])), "duration", [0.5, NAN]),
    "durations among objects": (np.array([datetime.timedelta(hours=6), None], object), "duration", [0.25, NAN]),
    "text": (pd.Series(["a", None, NAN], dtype=object), "text", ["a", None, None]),
    "strings": (pd.array(["a", None], dtype="string"), "text", ["a", None]),
    "words": (np.array(["a", "b"]), "text", ["a", "b"]),
}


@pytest.mark.parametrize("case", COLUMNS)
def test_kinds_and_values(case):
    column, kind, values = COLUMNS[case]
    cells = cells_of(column)
    assert cells.kind == kind
    assert not cells.is_category
    if kind == "text":
        assert list(cells.values) == values
    else:
        np.testing.assert_array_equal(cells.values, values)


@pytest.mark.parametrize("values", [[[1], [2]], ["a", 1], [1j, 2.0], [{}, None], [b"a", b"b"]])
def test_anything_else(values):
    objects = np.empty(2, dtype=object)
    objects[:] = values
    assert cells_of(objects).kind == "other"


def test_categories_know_it():
    assert cells_of(pd.Series(pd.Categorical(["a", None, "b"]))).is_category
    numbers = cells_of(pd.Series(pd.Categorical([3, None, 1])))
    assert numbers.is_category
    assert list(as_levels(numbers)) == [3, None, 1]


def test_levels_of_numbers_and_dates():
    assert list(as_levels(cells_of(np.array([1.0, 2.5, NAN, 1e300])))) == [1, 2.5, None, 1e300]
    assert list(as_levels(cells_of(pd.Series(pd.to_datetime(["2024-02-29 12:00", None]))))) == [
        "2024-02-29 12:00:00",
        None,
    ]
