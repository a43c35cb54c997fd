"""Foundations of all other packages: Keras, checks, seeds, files, printing."""

__all__: list[str] = []
