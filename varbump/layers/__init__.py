"""Keras layers, one a file."""

from varbump.layers.bump import Bump, GaussianBump
from varbump.layers.dense_variational import DenseVariational

__all__ = ["Bump", "DenseVariational", "GaussianBump"]
