"""Missing numbers and their expectations."""

import numpy as np
import pytest

from varbump.estimator.table.missing import MOST_COLUMNS, fit_joint_normal, joined_columns

MEAN, COVARIANCE = np.array([1.0, -2.0, 30.0]), np.array([[1.0, 0.8, 3.0], [0.8, 2.0, 0.0], [3.0, 0.0, 25.0]])


def normal(num_rows, seed=0):
    return np.random.default_rng(seed).multivariate_normal(MEAN, COVARIANCE, size=num_rows)


def with_gaps(x, share=0.3, seed=1):
    return np.where(np.random.default_rng(seed).random(x.shape) < share, np.nan, x)


def test_moments_are_those_of_the_normal_in_spite_of_gaps():
    """At 4,000 rows with 30 % of cells gone, errors of moments of standardised columns are some 1 / sqrt(2,000)."""
    joint = fit_joint_normal(with_gaps(normal(4000)), np.ones(4000))
    sds = np.sqrt(np.diag(COVARIANCE))
    np.testing.assert_allclose((joint.mean + joint.scale * joint.shift - MEAN) / sds, 0.0, atol=0.1)
    found = joint.covariance * joint.scale[:, None] * joint.scale / np.outer(sds, sds)
    np.testing.assert_allclose(found, COVARIANCE / np.outer(sds, sds), atol=0.1)


def test_gaps_that_depend_on_other_columns_do_not_bias_the_mean():
    """Cells missing where another column is large: the mean of what is observed is off by half an sd."""
    x = normal(4000)
    x[:, 0] = np.where(x[:, 2] > 30.0, np.nan, x[:, 0])
    joint = fit_joint_normal(x, np.ones(4000))
    assert abs(np.nanmean(x[:, 0]) - 1.0) > 0.4
    assert joint.mean[0] + joint.scale[0] * joint.shift[0] == pytest.approx(1.0, abs=0.1)


def test_filled_cells_are_the_conditional_expectations():
    x = normal(2000)
    joint = fit_joint_normal(x, np.ones(2000))
    filled = joint.fill(np.array([[np.nan, -1.0, 32.0], [1.2, np.nan, np.nan], [0.5, 0.5, 30.0]]))
    mean = joint.mean + joint.scale * joint.shift
    covariance = joint.covariance * joint.scale[:, None] * joint.scale
    first = mean[0] + covariance[0, 1:] @ np.linalg.solve(covariance[1:, 1:], [-1.0 - mean[1], 32.0 - mean[2]])
    others = mean[1:] + covariance[1:, 0] / covariance[0, 0] * (1.2 - mean[0])
    np.testing.assert_allclose(filled[:2], [[first, -1.0, 32.0], [1.2, *others]], rtol=1e-9)
    np.testing.assert_array_equal(filled[2], [0.5, 0.5, 30.0])


def test_a_row_does_not_depend_on_its_company():
    x = with_gaps(normal(300))
    joint = fit_joint_normal(x, np.ones(300))
    whole = joint.fill(x)
    assert np.isfinite(whole).all()
    for rows in (slice(7, 8), slice(3, 40), slice(None, None, -1)):
        np.testing.assert_array_equal(joint.fill(x[rows]), whole[rows])


def test_weights_are_repeated_rows():
    x = with_gaps(normal(60))
    counts = np.arange(60) % 3 + 1
    weighted, repeated = (
        fit_joint_normal(x, counts.astype(float)),
        fit_joint_normal(np.repeat(x, counts, axis=0), np.ones(counts.sum())),
    )
    np.testing.assert_allclose(weighted.mean, repeated.mean)
    np.testing.assert_allclose(weighted.scale, repeated.scale)


def test_expectations_stay_in_the_range_of_their_column():
    x = normal(200)
    joint = fit_joint_normal(x, np.ones(200))
    filled = joint.fill(np.array([[np.nan, -2.0, 1e6]]))
    assert filled[0, 0] == x[:, 0].max()


@pytest.mark.parametrize("x", [np.ones((5, 2)), np.array([[1.0, np.nan], [np.nan, 2.0]]), np.zeros((1, 3))])
def test_small_and_constant_tables(x):
    joint = fit_joint_normal(x, np.ones(len(x)))
    np.testing.assert_array_equal(joint.fill(np.full((1, x.shape[1]), np.nan))[0], np.nanmean(x, axis=0))


def test_many_columns_are_filled_with_their_means():
    x = with_gaps(np.random.default_rng(0).normal(size=(50, MOST_COLUMNS + 1)))
    joint = fit_joint_normal(x, np.ones(50))
    assert joint.covariance is None
    np.testing.assert_allclose(joint.fill(x), np.where(np.isnan(x), np.nanmean(x, axis=0), x))


def test_indicators_of_many_levels_leave_the_correlations_of_numbers():
    x = np.concatenate([with_gaps(normal(300)), np.eye(300)[:, :MOST_COLUMNS]], axis=1)
    numeric = np.arange(x.shape[1]) < 3
    np.testing.assert_array_equal(joined_columns(numeric), [0, 1, 2])
    filled = fit_joint_normal(x, np.ones(300), numeric).fill(x)
    np.testing.assert_allclose(filled[:, :3], fit_joint_normal(x[:, :3], np.ones(300)).fill(x[:, :3]))
    assert len(joined_columns(np.ones(MOST_COLUMNS + 1, dtype=bool))) == 0
    assert len(joined_columns(numeric[:MOST_COLUMNS])) == MOST_COLUMNS
