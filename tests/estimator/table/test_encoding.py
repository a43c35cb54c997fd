"""Columns as inputs of a network."""

import numpy as np
import pandas as pd
import pytest

from varbump.estimator.rows import merged
from varbump.estimator.table.cells import cells_of
from varbump.estimator.table.columns import UNSEEN
from varbump.estimator.table.completion import MOST_LEVELS
from varbump.estimator.table.encoder_fit import fit_encoder
from varbump.estimator.table.reading import coded, learn_columns, read_cells

NAN = np.nan


def encoded(frame, y=None, weights=None, *, categorical_features="from_dtype", indicates_all=True):
    """The encoder of a frame, and the inputs of its distinct rows in sorted order."""
    cells = read_cells(frame)
    columns, names = learn_columns(frame, cells, categorical_features)
    y = np.arange(len(frame), dtype=float)[:, None] if y is None else y
    weights = np.ones(len(frame)) if weights is None else weights
    codes, y, weights = merged(coded(columns, cells), y, weights)
    return fit_encoder(columns, names, codes, y, weights, indicates_all=indicates_all)


def inputs(encoder, frame):
    return encoder.transform(coded(encoder.source, read_cells(frame)))


def names(encoder):
    return [column.name for column in encoder.columns]


COLOURS = pd.DataFrame({"colour": ["red", "blue", None, "red"], "size": [1.0, 2.0, 3.0, 5.0]})


def test_categories_have_inputs_for_levels_missing_cells_and_unseen_levels():
    encoder, x = encoded(COLOURS)
    assert names(encoder) == ["colour_blue", "colour_red", "colour_missing", "colour_unseen", "size"]
    assert [column.kind for column in encoder.columns] == ["indicator"] * 4 + ["numeric"]
    assert [column.origin for column in encoder.columns] == [0, 0, 0, 0, 1]
    assert encoder.tied == [4, 1]
    assert not x[:, 3].any()
    new = pd.DataFrame({"colour": ["blue", "green", None], "size": [0.0, 0.0, 0.0]})
    np.testing.assert_array_equal(inputs(encoder, new)[:, :4], [[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]])


def test_missing_levels_of_a_complete_category_are_unseen():
    encoder, _ = encoded(COLOURS.dropna())
    assert "colour_missing" not in names(encoder)
    np.testing.assert_array_equal(inputs(encoder, COLOURS)[2], [0, 0, 1, 3])


def test_numbers_without_gaps_pass_through():
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [True, False, True]})
    encoder, x = encoded(frame)
    assert encoder.is_plain
    assert encoder.tied == [1, 1]
    np.testing.assert_array_equal(x, [[1, 1], [2, 0], [3, 1]])
    scaler = encoder.scaler(x, np.ones(3))
    np.testing.assert_allclose(scaler.transform(x).std(axis=0), 1.0)


def test_indicators_reach_the_network_as_they_are():
    encoder, x = encoded(COLOURS)
    scaled = encoder.scaler(x, np.ones(len(x))).transform(x)
    np.testing.assert_array_equal(scaled[:, :4], x[:, :4])
    assert scaled[:, 4].mean() == pytest.approx(0.0)


def test_missing_numbers_are_indicated_where_it_matters():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(400, 2))
    gone = generator.random((400, 2)) < 0.2
    frame = pd.DataFrame(np.where(gone, NAN, x), columns=["at random", "telling"])
    y = x.sum(axis=1, keepdims=True) + 3.0 * gone[:, 1:]
    assert names(encoded(frame, y, indicates_all=False)[0]) == ["at random", "telling", "telling_missing"]
    assert len(names(encoded(frame, y)[0])) == 4
    assert encoded(frame, np.zeros((400, 1)), indicates_all=False)[0].columns[-1].name == "telling"


def test_a_gap_where_there_was_none_is_filled_and_said():
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": [2.0, 4.0, 6.0, 8.0]})
    encoder, _ = encoded(frame)
    with pytest.warns(UserWarning, match="column 'b' of X has missing cells but had none in the fit"):
        x = inputs(encoder, pd.DataFrame({"a": [4.0], "b": [NAN]}))
    # the correlation is 4 / (4 + 2), shrunk as by two rows without correlation; the mean is 5
    assert 5.0 < x[0, 1] < 8.0


def test_levels_without_weight_were_never_seen():
    encoder, _ = encoded(COLOURS, weights=np.array([1.0, 0.0, 0.0, 1.0]))
    assert names(encoder) == ["colour_red", "colour_unseen", "size"]


def test_the_rarest_of_many_levels_share_an_input():
    levels = [f"{index:04}" for index in range(MOST_LEVELS + 20)]
    frame = pd.DataFrame({"zip": levels * 3 + levels[20:]})
    encoder, x = encoded(frame)
    assert names(encoder)[-2:] == ["zip_infrequent", "zip_unseen"]
    assert names(encoder)[:-2] == [f"zip_{level}" for level in levels[20:]]
    assert x.sum() == len(frame)
    np.testing.assert_array_equal(inputs(encoder, pd.DataFrame({"zip": ["0000", "none"]}))[:, -2:], [[1, 0], [0, 1]])


def test_identifiers_are_ignored_and_said():
    frame = pd.DataFrame({"id": [f"row {index}" for index in range(40)], "a": np.arange(40.0)})
    with pytest.warns(
        UserWarning, match="column 'id' of X has 40 levels in 40 rows, as identifiers do, and is ignored"
    ):
        encoder, _ = encoded(frame)
    assert names(encoder) == ["a"]
    assert inputs(encoder, pd.DataFrame({"id": [[1, 2]], "a": [3.0]})) == [[3.0]]  # whatever it holds
    with (
        pytest.warns(UserWarning, match="identifiers"),
        pytest.raises(ValueError, match="X has no column to learn from"),
    ):
        encoded(frame[["id"]])


def test_empty_columns_are_ignored():
    encoder, _ = encoded(pd.DataFrame({"a": [1.0, 2.0], "b": [None, None]}))
    assert names(encoder) == ["a"]


def test_codes_can_be_declared():
    frame = pd.DataFrame({"code": [3, 1, 3], "a": [0.5, 1.0, 2.0]})
    for declared in (["code"], [0], [True, False], [-2], np.array(["code"])):
        encoder, _ = encoded(frame, categorical_features=declared)
        assert names(encoder) == ["code_1", "code_3", "code_unseen", "a"]
    np.testing.assert_array_equal(
        inputs(encoder, pd.DataFrame({"code": [1.0, 2.0], "a": [0, 0]}))[:, 1:3], [[0, 0], [0, 1]]
    )


@pytest.mark.parametrize("declared", [["colours"], [2], [-3], [True], [[0]], [1.5], [None]])
def test_declarations_of_no_column_are_refused(declared):
    with pytest.raises(ValueError, match="categorical_features"):
        encoded(COLOURS, categorical_features=declared)


def test_declared_columns_are_categories_besides_those_of_text():
    encoder, _ = encoded(COLOURS.assign(code=[1, 2, 1, 2]), categorical_features=["code"])
    assert [column.kind for column in encoder.source] == ["category", "number", "category"]


def test_text_without_categories_is_refused_by_name():
    with pytest.raises(ValueError, match="X must hold numbers, but column 'colour' has 'red'; pass a data frame"):
        encoded(COLOURS, categorical_features=None)


CHANGED = {
    "text for numbers": ("size", ["a", "b"], "column 'size' held numbers in the fit, but text such as 'a' here"),
    "dates for numbers": (
        "size",
        pd.to_datetime(["2024-01-01"] * 2),
        "column 'size' held numbers .* but dates such as",
    ),
    "numbers for text": ("colour", [1, 2], "column 'colour' held text in the fit, but numbers such as 1 here"),
}


@pytest.mark.parametrize("case", CHANGED)
def test_columns_of_another_kind_than_in_the_fit_are_refused_by_name(case):
    name, values, message = CHANGED[case]
    encoder, _ = encoded(COLOURS)
    with pytest.raises(ValueError, match=message):
        inputs(encoder, COLOURS.iloc[:2].assign(**{name: values}))


def test_codes_of_levels():
    (column,), _ = learn_columns(COLOURS[["colour"]], read_cells(COLOURS[["colour"]]), "from_dtype")
    np.testing.assert_array_equal(column.codes(cells_of(pd.Series(["red", "pink", None, "blue"]))), [1, UNSEEN, NAN, 0])
    np.testing.assert_array_equal(column.codes(cells_of(pd.Series([None, None]))), [NAN, NAN])


def test_relevance_is_that_of_original_columns():
    """For 0/1 inputs of frequencies p the sd of what they add is the root of the sum of t^2 p (1 - p)."""
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "k": list("uuuv"), "c": 7.0})
    encoder, x = encoded(frame)
    scaler = encoder.scaler(x, np.ones(4))
    relevance = encoder.relevance(np.array([0.3, 2.0, 2.0, 2.0, 5.0]), scaler)
    np.testing.assert_allclose(relevance, [0.3, 2.0 * np.sqrt(2 * 0.25 * 0.75), 0.0])
