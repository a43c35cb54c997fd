"""Sources of rows: toy data, slices, batches."""

from varbump.data import datasets

__all__ = ["datasets"]
