import numpy as np
import pytest

from varbump.data.batches import BatchPlan

PLANS = [(10, 3), (12, 4), (5000, 32), (7, 7), (1, 1), (33, 32)]


@pytest.mark.parametrize(("num_data", "batch_size"), PLANS)
def test_each_epoch_visits_every_row_once_with_equal_weight(num_data, batch_size):
    plan = BatchPlan(num_data, batch_size)
    order = plan.shuffles(0, range(1), 1)[0].reshape(plan.steps, plan.width)
    visits = np.zeros(num_data)
    for rows, weights in zip(order, plan.row_weights, strict=True):
        assert weights.sum() == pytest.approx(1, rel=1e-6)
        np.add.at(visits, rows, weights > 0)
    np.testing.assert_array_equal(visits, 1)


@pytest.mark.parametrize(("num_data", "batch_size"), PLANS)
def test_batches_are_no_larger_than_asked_and_differ_by_at_most_one_row(num_data, batch_size):
    plan = BatchPlan(num_data, batch_size)
    sizes = (plan.row_weights > 0).sum(1)
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1


def test_folds_of_nearly_one_size_share_steps_and_width():
    assert len({(plan.steps, plan.width) for plan in (BatchPlan(n, 64) for n in (898, 899, 900))}) == 1


def test_padding_repeats_a_row():
    plan = BatchPlan(10, 4)
    padded = plan.padded(np.arange(10.0)[:, None])
    assert padded.shape == (plan.capacity, 1)
    np.testing.assert_array_equal(padded[10:], 0.0)


def test_epochs_are_shuffled_differently_and_reproducibly():
    plan = BatchPlan(50, 10)
    orders = plan.shuffles(1, range(3), 3)
    assert not np.array_equal(orders[0], orders[1])
    np.testing.assert_array_equal(orders[2], plan.shuffles(1, range(2, 3), 1)[0])
    assert not np.array_equal(orders[0], plan.shuffles(2, range(1), 1)[0])
    assert plan.seeds(1, range(4), 4).shape == (4, 2)
    assert len(np.unique(plan.seeds(1, range(100), 100), axis=0)) == 100
