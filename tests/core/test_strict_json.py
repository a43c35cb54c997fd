"""JSON of a file that anyone may have edited."""

import json

import pytest
from hypothesis import given, settings, strategies as st

from varbump.core.strict_json import parse_json

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(PLAIN)
def test_what_python_writes_is_read_back(value):
    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Expecting value"),
        ("{", "Expecting"),
        ('{"a": 1} {}', "Extra data"),
        ('{"a": NaN}', "NaN is not a number"),
        ('{"a": -Infinity}', "-Infinity is not a number"),
        ('{"a": 1e999}', "1e999 is too large"),
        ('{"a": {"b": 1, "c": 2, "b": 3}}', "gives 'b' twice"),
        (b"\xff\xfe", "not UTF-8"),
        ("[" * 100_000, "nested too deeply"),
        ("9" * 10_000, "digit"),
    ],
)
def test_anything_else_is_one_sentence(text, words):
    with pytest.raises(ValueError, match=words) as caught:
        parse_json(text)
    assert len(str(caught.value)) < 200
