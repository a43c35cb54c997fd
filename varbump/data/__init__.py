"""Where rows come from: toy data, slices, batches, sources."""

from varbump.data import datasets, sources

__all__ = ["datasets", "sources"]
