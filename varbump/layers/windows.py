"""Windows of a sequence: with them a convolution is a matrix product.

A product is vectorised over draws, members of an ensemble and rows, and has derivatives of all orders, which a
convolution of TensorFlow has not everywhere.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

__all__ = ["PADDINGS", "count_windows", "windows"]

PADDINGS = ("valid", "same", "causal")


def count_windows(steps: Any, size: int, stride: int, dilation: int, padding: str) -> Any:
    """Return the number of windows of a sequence of `steps` steps, an int or a scalar tensor; see `windows`."""
    if padding == "valid":
        steps = steps - (size - 1) * dilation
    return (steps + stride - 1) // stride


def windows(inputs: tf.Tensor, size: int, stride: int, dilation: int, padding: str) -> tf.Tensor:
    r"""Return the windows of sequences, each as one row.

    .. math:: \mathrm{windows}_{t,\, iC + c} = \mathrm{padded}_{ts + id,\, c}, \quad i = 0, \ldots, k - 1

    for windows of k steps, a stride s and a dilation d.

    Parameters
    ----------
    inputs : Tensor (..., T, C)
    size, stride, dilation : int
        Steps in a window, between the first steps of two windows, and between the steps of a window.
    padding : {"valid", "same", "causal"}
        No zeros; zeros on both sides, for one window every `stride` steps; or all of them before the first step, so
        that windows end at the step they are for. If "same" needs an odd number, there is one more at the end.

    Returns
    -------
    Tensor (..., T', size * C)
    """
    steps = tf.shape(inputs)[-2] if inputs.shape[-2] is None else inputs.shape[-2]
    reach, count = (size - 1) * dilation, count_windows(steps, size, stride, dilation, padding)
    until = (count - 1) * stride + 1
    if padding != "valid":
        missing = until + reach - steps  # negative where a stride leaves steps at the end out
        missing = tf.maximum(missing, 0) if tf.is_tensor(missing) else max(missing, 0)
        before = reach if padding == "causal" else missing // 2
        after = 0 if padding == "causal" else missing - before
        others = [[0, 0]] * (inputs.shape.rank - 2)
        inputs = tf.pad(inputs, [*others, [before, after], [0, 0]])
    starts = [step * dilation for step in range(size)]
    return tf.concat([inputs[..., start : start + until : stride, :] for start in starts], axis=-1)
