"""The strict lower triangle of an n x n matrix, folded without gaps into a rectangle.

With a dense n x n variable, storage and optimiser updates would double. Unpacking n(n-1)/2 packed numbers
costs more than the rest of a training step. A rectangle avoids both: with m = n - 1 and k = ceil(m / 2),
it holds the columns 0 ... k-1 of the triangle unchanged, and the remaining triangle transposed in the
corner that they leave free. A product with a vector is then two masked products with the rectangle, and
its gradient is one elementwise expression that XLA fuses into the update of the optimiser.

See Gustavson, Wasniewski, Dongarra and Langou (2010), "Rectangular Full Packed Format for Cholesky's
Algorithm", ACM TOMS 37(2), for the layout.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

__all__ = ["by_row", "fold", "matvec", "rectangle_shape", "to_dense"]


def rectangle_shape(n: int) -> tuple[int, int]:
    """Shape of the rectangle that holds the n(n-1)/2 numbers of a strict lower triangle."""
    return (n - 1, n // 2) if n % 2 == 0 else (n, (n - 1) // 2)


def _layout(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each cell: whether it lies in the first columns (unfolded), and its row and column in the matrix."""
    rows, k = rectangle_shape(n)
    r, c = np.arange(rows)[:, None], np.arange(k)[None, :]
    shift = 1 if n % 2 == 0 else 0  # row r of the rectangle holds row r + shift of the matrix
    unfolded = c < r + shift
    row = np.where(unfolded, r + shift, c + k + 1 - shift)
    column = np.where(unfolded, c, r + k)
    return unfolded, row, column


def fold(matrix: np.ndarray) -> np.ndarray:
    """Fold the strict lower triangle of `matrix` (n, n) into a rectangle; other entries are dropped."""
    _, row, column = _layout(matrix.shape[0])
    return matrix[row, column]


def to_dense(rectangle: tf.Tensor, n: int) -> tf.Tensor:
    """Unfold a rectangle into the strictly lower triangular matrix (n, n)."""
    _, row, column = _layout(n)
    source = np.full((n, n), rectangle.shape[0] * rectangle.shape[1])  # past the end: a zero
    source[row, column] = np.arange(row.size).reshape(row.shape)
    cells = tf.concat([tf.reshape(rectangle, [-1]), tf.zeros([1], rectangle.dtype)], 0)
    return tf.gather(cells, source)


def by_row(vector: tf.Tensor) -> tf.Tensor:
    """For each cell of the rectangle, the entry of `vector` (n,) at the cell's row in the matrix."""
    n = vector.shape[0]
    _, k = rectangle_shape(n)
    shift = 1 if n % 2 == 0 else 0
    return tf.where(tf.constant(_layout(n)[0]), vector[shift:, None], vector[None, n - k :])


def matvec(rectangle: tf.Tensor, vector: tf.Tensor) -> tf.Tensor:
    """Multiply the strictly lower triangular matrix by a vector.

    Parameters
    ----------
    rectangle : Tensor, shape `rectangle_shape(n)`
        The folded triangle.
    vector : Tensor (n,)

    Returns
    -------
    Tensor (n,)
        ``to_dense(rectangle, n) @ vector``, with gradients with respect to both.
    """
    n = vector.shape[0]
    rows, k = rectangle_shape(n)
    shift = 1 if n % 2 == 0 else 0
    unfolded = tf.constant(_layout(n)[0])

    def folded_part(v: tf.Tensor) -> tf.Tensor:
        return tf.pad(v[k:], [[0, k + rows - n]])  # by row of the rectangle: column r + k of the matrix

    @tf.custom_gradient
    def product(rectangle: tf.Tensor, vector: tf.Tensor) -> tuple[tf.Tensor, object]:
        zero = tf.zeros([], rectangle.dtype)
        lower = tf.matmul(tf.where(unfolded, rectangle, zero), vector[:k, None])[:, 0]
        upper = tf.reduce_sum(tf.where(unfolded, zero, rectangle) * folded_part(vector)[:, None], 0)
        result = tf.pad(lower, [[shift, 0]]) + tf.pad(upper, [[n - k, 0]])

        def gradient(g: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            g_lower, g_upper = g[shift:], g[n - k :]
            d_rectangle = tf.where(
                unfolded, g_lower[:, None] * vector[None, :k], folded_part(vector)[:, None] * g_upper[None, :]
            )
            first = tf.reduce_sum(tf.where(unfolded, rectangle, zero) * g_lower[:, None], 0)
            last = tf.matmul(tf.where(unfolded, zero, rectangle), g_upper[:, None])[: n - k, 0]
            return d_rectangle, tf.pad(first, [[0, n - k]]) + tf.pad(last, [[k, n - k - last.shape[0]]])

        return result, gradient

    return product(rectangle, vector)
