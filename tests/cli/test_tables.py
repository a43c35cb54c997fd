"""Whatever the bytes, a table is read or refused in a sentence; what is read is what was written."""

import csv
import io

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from varbump.cli.errors import UserError
from varbump.cli.tables import open_table

BOUNDED = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

PIECES = st.sampled_from(
    ["a", "b", ",", ";", "\t", "\n", "\r\n", "\r", '"', '""', "1", "-2.5", "1e400", "nan", "inf", " ", "é", "\0", "'"]
)


def try_all(path):
    """Read every column; only a UserError may come out."""
    sentence = "fine"
    try:
        table = open_table(path)
        table.read(table.columns)
    except UserError as error:
        sentence = str(error)
    assert sentence
    assert "\n" not in sentence


@BOUNDED
@given(content=st.binary(max_size=200))
@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.csv.gz", "x.parquet"])
def test_any_bytes(content, name, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    try_all(path)


@BOUNDED
@given(pieces=st.lists(PIECES, max_size=60), start=st.sampled_from(["", "a,b\n", "a,b\n1,2\n"]))
def test_any_text_that_looks_like_a_table(pieces, start, tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes((start + "".join(pieces)).encode())
    try_all(path)


CELLS = st.floats(allow_nan=False, allow_infinity=False)


@BOUNDED
@given(
    rows=st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(CELLS, min_size=n, max_size=n), min_size=1, max_size=9)),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_numbers_come_back_bit_for_bit(rows, quoting, tmp_path):
    text = io.StringIO()
    writer = csv.writer(text, quoting=quoting)
    names = [f'c "{i}",\n' for i in range(len(rows[0]))]
    writer.writerows([names, *rows])
    path = tmp_path / "x.csv"
    path.write_bytes(text.getvalue().encode())
    table = open_table(path)
    assert table.columns == names
    np.testing.assert_array_equal(table.read(names[::-1]), np.array(rows)[:, ::-1])


@pytest.mark.slow
def test_chunks_are_those_of_the_whole_and_rows_count_on(tmp_path):
    """A table of several blocks, whose last row is bad: its number is that of the whole file."""
    number = 300_000
    path = tmp_path / "x.csv"
    path.write_text("a,b,c\n" + "".join(f"{i},{i}.5,text\n" for i in range(number)))
    table = open_table(path)
    parts = [(values, kept) for values, kept in table.chunks(["b", "a"], ["c", "a"])]
    assert len(parts) > 1
    values = np.concatenate([values for values, _ in parts])
    np.testing.assert_array_equal(values, np.arange(number)[:, None] + [0.5, 0.0])
    assert parts[-1][1].schema.names == ["c", "a"]
    assert parts[-1][1].column("a")[-1].as_py() == str(number - 1)
    with open(path, "a") as file:
        file.write("oops,1,1\n")
    with pytest.raises(UserError, match=f"row {number + 2:,}, column 'a': 'oops'"):
        table.read(["a"])
