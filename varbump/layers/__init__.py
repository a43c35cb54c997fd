"""Keras layers, one a file, and the two bases by which others recognise them."""

from varbump.layers.activation import TrainableActivation
from varbump.layers.bump import Bump, GaussianBump
from varbump.layers.conv1d_variational import Conv1DVariational
from varbump.layers.dense_variational import DenseVariational
from varbump.layers.embedding_variational import EmbeddingVariational
from varbump.layers.variational import VariationalLayer

__all__ = [
    "Bump",
    "Conv1DVariational",
    "DenseVariational",
    "EmbeddingVariational",
    "GaussianBump",
    "TrainableActivation",
    "VariationalLayer",
]
