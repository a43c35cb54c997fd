import numpy as np
import pytest
import tensorflow as tf

from varbump.posteriors import triangles

SIZES = [2, 3, 4, 5, 8, 17, 32]


def triangle(n, seed=0):
    return np.tril(np.random.default_rng(seed).normal(size=(n, n)), -1)


@pytest.mark.parametrize("n", SIZES)
def test_rectangle_has_no_gaps(n):
    assert np.prod(triangles.rectangle_shape(n)) == n * (n - 1) // 2


@pytest.mark.parametrize("n", SIZES)
def test_folding_and_unfolding_give_the_triangle_back(n):
    matrix = triangle(n)
    np.testing.assert_array_equal(triangles.to_dense(tf.constant(triangles.fold(matrix)), n), matrix)


@pytest.mark.parametrize("n", SIZES)
def test_matvec_and_its_gradients_are_those_of_the_dense_matrix(n):
    matrix, generator = triangle(n), np.random.default_rng(1)
    vector, upstream = generator.normal(size=n), generator.normal(size=n)
    rectangle, v = tf.Variable(triangles.fold(matrix)), tf.Variable(vector)
    with tf.GradientTape() as tape:
        product = triangles.matvec(rectangle, v)
        target = tf.reduce_sum(product * upstream)
    d_rectangle, d_vector = tape.gradient(target, [rectangle, v])
    # float64 sums of at most 32 terms of order one: 1e-13 is a hundred rounding errors
    np.testing.assert_allclose(product, matrix @ vector, atol=1e-13)
    np.testing.assert_allclose(d_vector, matrix.T @ upstream, atol=1e-13)
    np.testing.assert_allclose(d_rectangle, triangles.fold(np.outer(upstream, vector)), atol=1e-13)


@pytest.mark.parametrize("n", SIZES)
def test_by_row_gives_each_cell_the_entry_of_its_row(n):
    vector = np.arange(1.0, n + 1)
    expected = triangles.fold(np.repeat(vector[:, None], n, axis=1))
    np.testing.assert_array_equal(triangles.by_row(tf.constant(vector)), expected)
