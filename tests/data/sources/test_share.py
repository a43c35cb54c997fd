"""Shares of workers: together every row once, with the same steps for all of them."""

import numpy as np
import pytest

from varbump.data.batches import BatchPlan
from varbump.data.sources import ArraySource, Rows, Source
from varbump.data.sources.share import Share


class Grouped(Source):
    """Rows whose x is their number, in groups of given sizes."""

    def __init__(self, groups, weighted=False):
        super().__init__(block_rows=16)
        self.groups, self.x_shape, self.y_shape, self.weighted = groups, (1,), (1,), weighted

    def read(self, group, size):
        first = sum(self.groups[:group])
        for start in range(0, self.groups[group], size):
            x = np.arange(first + start, first + min(start + size, self.groups[group]), dtype=float)[:, None]
            yield Rows(x, x, x[:, 0] + 1.0 if self.weighted else None)

    @property
    def digest(self):
        return "numbers"


def shares(source, count, block_rows):
    return [Share(source, rank, count, block_rows) for rank in range(count)]


def numbers(share, seed=1, epoch=0):
    return [rows.x[:, 0].astype(int) for rows in share.epoch(seed, epoch)]


@pytest.mark.parametrize("groups", [[10, 3, 25, 1, 7], [46], [5] * 9 + [1], [0, 7, 40]])
@pytest.mark.parametrize(("count", "block_rows"), [(1, 7), (2, 5), (3, 4), (7, 100)])
def test_every_row_is_in_one_share_and_once_in_an_epoch(groups, count, block_rows):
    parts = shares(Grouped(groups), count, block_rows)
    for epoch in range(2):
        found = np.concatenate([np.concatenate(numbers(part, epoch=epoch)) for part in parts])
        np.testing.assert_array_equal(np.sort(found), np.arange(sum(groups)))
    sizes = {part.num_data for part in parts}
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(("rows", "count", "block_rows"), [(46, 3, 4), (47, 3, 4), (5, 2, 1), (3, 2, 1), (101, 2, 50)])
def test_all_shares_take_the_same_steps_with_programs_of_one_shape(rows, count, block_rows):
    parts = shares(Grouped([rows]), count, block_rows)
    assert len({(part.num_blocks, part.largest_block) for part in parts}) == 1
    for part in parts:
        for block in range(part.num_blocks):
            size = part.block_size(block)
            plan = BatchPlan(size, min(3, part.largest_block), part.largest_block)
            assert part.largest_block - 1 <= size <= part.largest_block
            assert size > 0
            assert plan.num_larger >= 0
            np.testing.assert_allclose(plan.row_weights.sum(1), 1.0)


def test_an_epoch_is_a_function_of_the_seed_and_its_number():
    part = Share(Grouped([10, 3, 25, 1, 7]), 1, 2, 5)
    same, other, later = numbers(part), numbers(part, seed=2), numbers(part, epoch=1)
    assert [list(block) for block in numbers(part)] == [list(block) for block in same]
    assert [list(block) for block in other] != [list(block) for block in same]
    assert [list(block) for block in later] != [list(block) for block in same]


def test_neighbours_of_a_sorted_source_go_to_different_workers():
    for part in shares(Grouped([10] * 40), 2, 50):
        assert np.concatenate(numbers(part)).mean() == pytest.approx(199.5, abs=75)  # in order: 99.5 and 299.5


def test_weights_keep_their_scale():
    source = Grouped([10, 20, 15], weighted=True)
    for part in shares(source, 2, 8):
        assert part.num_data / part.total_weight == pytest.approx(source.num_data / source.total_weight)


def test_rows_have_the_names_that_they_have_in_the_whole():
    x = np.arange(40.0)
    x[33] = np.nan
    parts = shares(ArraySource(x, np.zeros(40)), 2, 8)
    with pytest.raises(ValueError, match=r"row 33: .*missing"):
        [numbers(part) for part in parts]


def test_a_worker_without_rows_is_refused():
    with pytest.raises(ValueError, match="x must have a row for each worker, but there are 3 rows and 4"):
        Share(Grouped([3]), 0, 4, 8)
