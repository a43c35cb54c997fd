"""Fan-in of a layer, given or inferred from the sizes of its kernel and bias."""

from __future__ import annotations

import math

__all__ = ["count_inputs"]


def count_inputs(kernel_size: int, bias_size: int, num_inputs: int | None = None) -> float:
    """Return the fan-in of a dense layer, at least 1.

    TFP's layers pass only the sizes to their factories: without a bias, the kernel is assumed to be square. Our layers
    pass `num_inputs`.
    """
    if num_inputs is not None:
        return max(float(num_inputs), 1.0)
    return max(kernel_size / bias_size if bias_size else math.sqrt(kernel_size), 1.0)
