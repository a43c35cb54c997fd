"""Keras layers, one a file, and the two bases by which others recognise them."""

from varbump.layers.activation import TrainableActivation
from varbump.layers.bump import Bump, GaussianBump
from varbump.layers.dense_variational import DenseVariational
from varbump.layers.variational import VariationalLayer

__all__ = ["Bump", "DenseVariational", "GaussianBump", "TrainableActivation", "VariationalLayer"]
