"""Causes of nan and of missing gradients, found in the operations between weights and loss."""

__all__: list[str] = []
