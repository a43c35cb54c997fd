"""Keras layers, one a file."""

from varbump.layers.dense_variational import DenseVariational

__all__ = ["DenseVariational"]
