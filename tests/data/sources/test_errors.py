"""What is wrong with a source is said with the file, the row and the column."""

import re
import sys

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from pyarrow import parquet

import varbump as vb


def write(path, **columns):
    parquet.write_table(pa.table(columns), path, row_group_size=10)


def values(num=35):
    return np.linspace(0.0, 1.0, num)


def read(source):
    return list(source.epoch(0, 0))


def raises(sentence):
    return pytest.raises(ValueError, match=re.escape(sentence))


@pytest.mark.parametrize(("bad", "what"), [(None, "missing"), (np.nan, "missing"), (np.inf, "infinite")])
def test_an_entry_that_is_no_number_is_named_with_file_and_row(tmp_path, bad, what):
    write(tmp_path / "a.parquet", a=values(), y=values())
    write(tmp_path / "b.parquet", a=[*values(23), bad, *values(11)], y=values())
    source = vb.sources.ParquetSource(tmp_path, "y", block_rows=16)
    with raises(f"{tmp_path / 'b.parquet'}, row 23: column 'a' is {what}; drop or fill"):
        read(source)
    x = np.zeros((5_000, 2))
    x[3_500, 1] = np.nan if bad is None else bad
    with raises(f"the arrays, row 3500: column 1 of x is {what}"):
        read(vb.sources.ArraySource(x, x[:, 0]))


def test_a_text_in_a_csv_is_named(tmp_path):
    (tmp_path / "a.csv").write_text("a,y\n1,2\n" * 1 + "3,4\nfive,6\n")
    with raises(f"{tmp_path / 'a.csv'} cannot be converted: In CSV column #0: Row #4"):
        vb.sources.CSVSource(tmp_path / "a.csv", "y", cache=tmp_path)
    (tmp_path / "a.csv").write_text("a,y\n1,2\n3,4\n,6\n")
    with vb.sources.CSVSource(tmp_path / "a.csv", "y", cache=tmp_path) as source:
        with raises(f"{tmp_path / 'a.csv'}, row 2: column 'a' is missing"):
            read(source)
        assert source.cache.parent == tmp_path
    assert not source.cache.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]


def test_features_of_a_csv_are_checked_before_it_is_converted(tmp_path):
    (tmp_path / "a.csv").write_text("a,y\n1,2\n")
    with raises("features must be a list of columns, got 'abc'"):
        vb.sources.CSVSource(tmp_path / "a.csv", "y", "abc", cache=tmp_path / "no folder")


def test_weights_that_are_negative_are_named():
    with raises("the arrays, row 2: the weight is negative"):
        read(vb.sources.ArraySource(values(3), values(3), [1.0, 2.0, -1.0]))


def test_columns_that_do_not_suit(tmp_path):
    path = tmp_path / "a.parquet"
    write(path, a=values(3), city=["x", "y", "z"], y=values(3))
    with raises(f"{path}: column 'city' holds string, no numbers; leave it out"):
        read(vb.sources.ParquetSource(path, "y"))
    with raises(f"{path}: column 'city' holds string, no numbers; convert it"):
        vb.sources.ParquetSource(path, "city")
    with raises(f"{path} has no column 'b'; it has a, city, y"):
        vb.sources.ParquetSource(path, "y", ["a", "b"])
    with raises("column 'a' can be only one of features, target and sample_weight"):
        vb.sources.ParquetSource(path, "y", ["a"], "a")
    with raises("features must be a list of columns, got 'a'"):
        vb.sources.ParquetSource(path, "y", "a")
    write(tmp_path / "b.parquet", a=values(3), y=values(3))
    write(tmp_path / "c.parquet", a=values(3))
    with raises(f"{tmp_path / 'c.parquet'} has no column 'y'; it has a; leave target out"):
        vb.sources.ParquetSource([tmp_path / "b.parquet", tmp_path / "c.parquet"], "y", ["a"])


def test_paths_that_lead_nowhere(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file that ends in \.parquet or \.pq"):
        vb.sources.ParquetSource(tmp_path, "y")
    with pytest.raises(FileNotFoundError, match="is no file or folder, and no file matches it"):
        vb.sources.ParquetSource(tmp_path / "part-*.parquet", "y")
    with pytest.raises(TypeError, match="path must be a file, a folder or a pattern"):
        vb.sources.ParquetSource(3, "y")
    (tmp_path / "a.parquet").write_bytes(b"no table")
    with raises(f"{tmp_path / 'a.parquet'} is no such file, or is damaged"):
        vb.sources.ParquetSource(tmp_path, "y")


def test_a_file_that_was_cut_after_it_was_opened(tmp_path):
    path = tmp_path / "a.parquet"
    write(path, a=np.random.default_rng(0).standard_normal(500), y=values(500))
    source = vb.sources.ParquetSource(path, "y")
    path.write_bytes(path.read_bytes()[:2_000])
    with raises(f"{path} cannot be read"):
        read(source)


def test_without_pyarrow_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=re.escape('sources.ParquetSource needs pyarrow: pip install "varbump[pa')):
        vb.sources.ParquetSource(tmp_path, "y")


def dataset(num=20):
    return tf.data.Dataset.from_tensor_slices((values(num)[:, None], values(num)[:, None]))


def test_rows_of_a_dataset_are_known_counted_or_given():
    repeated = dataset().repeat()
    assert vb.sources.DatasetSource(dataset(), batched=False).num_data == 20
    assert vb.sources.DatasetSource(dataset().batch(7)).num_data == 20
    assert vb.sources.DatasetSource(dataset().filter(lambda x, y: x[0] < 0.5), batched=False).num_data == 10
    endless = vb.sources.DatasetSource(repeated, 30, batched=False)
    assert sum(len(block.x) for block in read(endless)) == 30
    with raises("num_data must be given for a dataset without an end"):
        vb.sources.DatasetSource(repeated, batched=False)
    with raises("was to have 19 rows, but there are more"):
        read(vb.sources.DatasetSource(dataset(), 19, batched=False))
    with raises("batched must say whether elements"):
        vb.sources.DatasetSource(dataset())
    with pytest.raises(TypeError, match="of pairs"):
        vb.sources.DatasetSource(dataset().map(lambda x, y: x))


def test_batches_are_recognised():
    x, y = np.zeros((12, 3), np.float32), np.zeros(12, np.float32)
    rows = tf.data.Dataset.from_tensor_slices((x, y))
    for made, batched in ((rows, False), (rows.batch(4), True), (rows.batch(4, drop_remainder=True), True)):
        source = vb.sources.DatasetSource(made)
        assert (source._batched, source.x_shape, source.y_shape, source.num_data) == (batched, (3,), (1,), 12)
        assert source.dtype == np.float32


def test_several_epochs_need_a_random_order():
    source = vb.sources.DatasetSource(dataset(500), batched=False, block_rows=64, pool_rows=128)
    source.check_epochs(1)
    with raises("DatasetSource of 500 rows has no random access, so each of 2 epochs"):
        source.check_epochs(2)
    said = vb.sources.DatasetSource(dataset(500), batched=False, random_order=True, block_rows=64, pool_rows=128)
    said.check_epochs(2)
    vb.sources.DatasetSource(dataset(100), batched=False).check_epochs(2)
