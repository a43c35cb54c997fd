"""Every row once in every epoch, in blocks of nearly one size, the same for the same seed: for every kind of source."""

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from pyarrow import feather, parquet

import varbump as vb
from varbump.data.sources.pool import interleaved, pooled

N = 1_000
OPTIONS = {"block_rows": 128, "pool_rows": 300}


def table(num=N):
    """Rows whose first feature is their number."""
    rng = np.random.default_rng(0)
    row = np.arange(float(num))
    return {"row": row, "b": rng.standard_normal(num), "y": 2 * row, "w": rng.uniform(0.5, 2.0, num)}


def of_arrays(tmp_path):
    columns = table()
    x = np.stack([columns["row"], columns["b"]], 1)
    return vb.sources.ArraySource(x, columns["y"], columns["w"], **OPTIONS)


def of_memmaps(tmp_path):
    columns = table()
    np.save(tmp_path / "x.npy", np.stack([columns["row"], columns["b"]], 1))
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    source = vb.sources.ArraySource(x, columns["y"], columns["w"], **OPTIONS)
    assert isinstance(source._x, np.memmap)
    return source


def of_parquet(tmp_path):
    whole = pa.table(table())
    for part in range(3):
        name = tmp_path / f"part-{part}.parquet"
        parquet.write_table(whole.slice(part * 400, 400), name, row_group_size=90)
    return vb.sources.ParquetSource(tmp_path, "y", sample_weight="w", **OPTIONS)


def of_arrow(tmp_path):
    feather.write_feather(pa.table(table()), str(tmp_path / "a.feather"), chunksize=90, compression="uncompressed")
    return vb.sources.ArrowSource(tmp_path / "*.feather", "y", ["row", "b"], "w", **OPTIONS)


def of_csv(tmp_path):
    columns = table()
    text = "row,b,y,w\n" + "".join(f"{a},{b},{y},{w}\n" for a, b, y, w in zip(*columns.values(), strict=True))
    (tmp_path / "a.csv").write_text(text)
    return vb.sources.CSVSource(tmp_path / "a.csv", "y", sample_weight="w", **OPTIONS)


def of_dataset(tmp_path):
    columns = table()
    x = np.stack([columns["row"], columns["b"]], 1)
    dataset = tf.data.Dataset.from_tensor_slices((x, columns["y"][:, None], columns["w"]))
    return vb.sources.DatasetSource(dataset.batch(77), **OPTIONS)


SOURCES = [of_arrays, of_memmaps, of_parquet, of_arrow, of_csv, of_dataset]


@pytest.mark.parametrize("make", SOURCES, ids=lambda make: make.__name__)
def test_laws(make, tmp_path):
    source, columns = make(tmp_path), table()
    assert (source.num_data, source.x_shape, source.y_shape, source.num_blocks) == (N, (2,), (1,), 8)
    assert source.total_weight == pytest.approx(columns["w"].sum(), rel=1e-12)

    blocks = list(source.epoch(3, 1))
    assert [len(block.x) for block in blocks] == [source.block_size(i) for i in range(8)] == [125] * 8
    rows = np.concatenate([block.x[:, 0] for block in blocks]).astype(int)
    np.testing.assert_array_equal(np.sort(rows), np.arange(N))
    for index, name in ((1, "b"), (2, "y"), (3, "w")):
        parts = [np.column_stack([*block.x.T, block.y[:, 0], block.sample_weight])[:, index] for block in blocks]
        np.testing.assert_array_equal(np.concatenate(parts), columns[name][rows])

    again = np.concatenate([block.x[:, 0] for block in source.epoch(3, 1)])
    np.testing.assert_array_equal(again, rows)
    assert not np.array_equal(np.concatenate([b.x[:, 0] for b in source.epoch(3, 2)]), rows)
    assert not np.array_equal(np.concatenate([b.x[:, 0] for b in source.epoch(4, 1)]), rows)
    in_order = np.concatenate([piece.x[:, 0] for piece in source.pieces(64)])
    np.testing.assert_array_equal(in_order, np.arange(N))


@pytest.mark.parametrize("make", SOURCES, ids=lambda make: make.__name__)
def test_moments_are_those_of_the_whole(make, tmp_path):
    x, y = make(tmp_path).moments()
    columns = table()
    share = columns["w"] / columns["w"].sum()
    for found, name in ((x.mean[0], "row"), (x.mean[1], "b"), (y.mean[0], "y")):
        assert found == pytest.approx(share @ columns[name], rel=1e-12)
    of_b = np.sqrt(share @ np.square(columns["b"] - share @ columns["b"]))
    assert x.sd[1] == pytest.approx(of_b, rel=1e-12)


def test_moments_do_not_cancel():
    values = 1e9 + np.random.default_rng(0).standard_normal(5_000)
    x, _ = vb.sources.ArraySource(values, values, block_rows=64).moments()
    assert x.sd[0] == pytest.approx(values.std(), rel=1e-6)


@pytest.mark.parametrize("make", [of_arrays, of_parquet, of_arrow, of_csv], ids=lambda make: make.__name__)
def test_a_digest_is_that_of_the_same_rows_in_the_same_blocks(make, tmp_path):
    first = make(tmp_path).digest
    assert make(tmp_path).digest == first
    for name in ("block_rows", "_pool_rows"):
        other = make(tmp_path)
        setattr(other, name, 127)
        assert other.digest != first


def test_a_digest_of_files_notices_one_number_and_other_columns(tmp_path):
    before = of_parquet(tmp_path).digest
    columns = table()
    columns["b"][500] += 1e-9
    parquet.write_table(pa.table(columns).slice(400, 400), tmp_path / "part-1.parquet", row_group_size=90)
    after = vb.sources.ParquetSource(tmp_path, "y", sample_weight="w", **OPTIONS)
    assert before != after.digest
    assert vb.sources.ParquetSource(tmp_path, "y", ["row", "b"], **OPTIONS).digest != after.digest


def test_large_groups_are_read_in_pieces_of_several_at_a_time(tmp_path):
    parquet.write_table(pa.table(table(6_000)), tmp_path / "a.parquet", row_group_size=1_500)
    source = vb.sources.ParquetSource(tmp_path / "a.parquet", "y", block_rows=200, pool_rows=800)
    first = next(source.epoch(0, 0)).x[:, 0] // 1_500
    assert set(first) == {0, 1, 2, 3}


def test_a_pool_mixes_as_far_as_it_reaches():
    """Mean distance that a row moves: about as far as the pool is large, and a third of N if it holds all."""
    pieces = [np.arange(start, start + 100.0)[:, None] for start in range(0, 10_000, 100)]
    for pool_rows, low, high in ((200, 50, 300), (10_000, 3_000, 3_700)):
        rng = np.random.default_rng(0)
        blocks = list(pooled(iter(pieces), [100] * 100, pool_rows, rng, 10_000))
        moved = np.abs(np.concatenate(blocks)[:, 0] - np.arange(10_000))
        assert low < moved.mean() < high


def test_groups_are_interleaved():
    opened = []

    def pieces(group):
        opened.append(group)
        try:
            for _ in range(5):
                yield np.full((1, 1), group)
        finally:
            opened.remove(group)

    found = []
    for piece in interleaved(((5, pieces(g)) for g in range(8)), np.random.default_rng(0), 3):
        found.append(int(piece[0, 0]))
        assert len(opened) <= 3
    assert not opened
    assert sorted(found) == sorted(list(range(8)) * 5)
    assert set(found[:5]) <= {0, 1, 2, 3}
    assert found != sorted(found)


@pytest.mark.parametrize("sizes", [[60, 60], [40, 40]])
def test_another_number_of_rows_is_an_error(sizes):
    with pytest.raises(ValueError, match=f"was to have {sum(sizes)} rows, but"):
        list(pooled(iter([np.zeros((100, 1))]), sizes, 10, np.random.default_rng(0), sum(sizes)))
