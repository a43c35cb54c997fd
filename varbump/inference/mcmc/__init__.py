"""Draws of the weights by Markov chains."""

__all__: list[str] = []
