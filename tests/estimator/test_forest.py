"""The embedding by a forest: no row may see its own y."""

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor

from varbump.estimator.forest import NUM_TREES, RESOLUTION, ForestEmbedding

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(60, 3))
Z = np.stack([np.sign(X[:, 0]), X[:, 1] ** 2], axis=1) + 0.1 * GENERATOR.normal(size=(60, 2))
ONES = np.ones(60)


@pytest.fixture(scope="module")
def grown():
    return ForestEmbedding.grown(X, Z, ONES, 0)


def test_new_rows_get_mean_and_spread_of_all_trees(grown):
    embedding, _ = grown
    rows = GENERATOR.normal(size=(7, 3))
    each = np.stack([tree.predict(rows.astype(np.float32))[:, :, 0] for tree in embedding.trees])
    expected = np.concatenate([each.mean(axis=0), np.log(each.std(axis=0) + RESOLUTION)], axis=1)
    # the sd is the root of a difference of sums, which loses half of the digits
    np.testing.assert_allclose(embedding.transform(rows), (expected - embedding.shift) / embedding.unit, atol=1e-6)


def test_training_rows_do_not_see_their_own_y(grown):
    """Against the mean over the trees whose samples lack the row, which are grown once more."""
    unit = Z.std(axis=0)
    forest = ExtraTreesRegressor(NUM_TREES, bootstrap=True, random_state=0)
    forest.fit(X, (Z - Z.mean(axis=0)) / unit, sample_weight=ONES)
    embedding, columns = grown
    found = (columns * embedding.unit + embedding.shift)[:, :2]
    for row in (0, 17):
        unseen = [
            tree.predict(X[row : row + 1])[0]
            for tree, sampled in zip(forest.estimators_, forest.estimators_samples_, strict=True)
            if row not in sampled
        ]
        assert 20 < len(unseen) < 60
        np.testing.assert_allclose(found[row], np.mean(unseen, axis=0), rtol=1e-6)


def test_columns_are_standardised(grown):
    _, columns = grown
    assert columns.shape == (60, 4)
    np.testing.assert_allclose(columns.mean(axis=0), 0.0, atol=1e-10)
    np.testing.assert_allclose(columns.std(axis=0), 1.0)


def test_the_unit_of_y_does_not_matter(grown):
    """A power of two changes no digit; others may decide splits by rounding."""
    _, columns = ForestEmbedding.grown(X, 1024.0 * Z, ONES, 0)
    np.testing.assert_array_equal(columns, grown[1])


def test_a_row_does_not_depend_on_others(grown):
    embedding, _ = grown
    np.testing.assert_array_equal(embedding.transform(X)[[3, 50]], embedding.transform(X[[3, 50]]))


def test_far_from_all_rows_it_is_finite(grown):
    assert np.isfinite(grown[0].transform(np.array([[1e300, -1e300, 0.0]]))).all()


@pytest.mark.parametrize("num_rows", [1, 2])
def test_hardly_any_rows(num_rows):
    """A single row is in the sample of every tree, so that none is left to predict it."""
    embedding, columns = ForestEmbedding.grown(X[:num_rows], Z[:num_rows], ONES[:num_rows], 0)
    assert np.isfinite(columns).all()
    assert np.isfinite(embedding.transform(X)).all()


def test_one_of_several_equal_rows_is_predicted_by_trees_that_know_the_others():
    """Its y is far off: a single row is not predicted, and one of three equal ones is by most of the trees."""
    far = Z.copy()
    far[5] += 10.0
    weights = ONES.copy()
    weights[5] = 3.0
    predicted = []
    for w in (ONES, weights):
        embedding, columns = ForestEmbedding.grown(X, far, w, 0)
        unit = np.sqrt(np.average((far - np.average(far, axis=0, weights=w)) ** 2, axis=0, weights=w))
        mean = (columns * embedding.unit + embedding.shift)[5, :2] * unit + np.average(far, axis=0, weights=w)
        predicted.append(mean)
    assert (predicted[0] < Z[5] + 3.0).all()
    assert (predicted[1] > Z[5] + 7.0).all()


def test_large_weights_are_no_equal_rows(grown):
    _, columns = ForestEmbedding.grown(X, Z, 4.0 * ONES, 0)
    np.testing.assert_array_equal(columns, grown[1])
