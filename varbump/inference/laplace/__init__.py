"""Laplace's approximation: a normal posterior around the weights of a trained network."""

__all__: list[str] = []
