"""Where rows come from."""

from varbump.data import datasets

__all__ = ["datasets"]
